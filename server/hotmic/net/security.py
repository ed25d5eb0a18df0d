"""Who may connect: Origin, Host and tokens.

Browsers send cookies and open sockets for any page, so Origin and Host are checked even on loopback (RFC 6455 section
10.2; DNS rebinding). Programs send no Origin and pass that check.
"""

import hmac
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hotmic.errors import ConfigError, NotAuthorized
from hotmic.net.client_secret import PREFIX as SECRET_PREFIX
from hotmic.net.client_secret import ClientSecrets
from hotmic.net.grant import SCOPES, Grant, digest
from hotmic.values import Value

_TOKEN_PROTOCOLS = ("hotmic-token.", "openai-insecure-api-key.")
"""Beginnings of subprotocols whose rest is a token."""


class Credentials(Value, frozen=True, kw_only=True):
    """What a handshake presents."""

    authorization: str | None = None
    """The ``Authorization`` header."""
    protocols: tuple[str, ...] = ()
    """Subprotocols: browsers can set no other header."""
    query: str = ""
    """A token in the URL."""


def protocol_of(offered: Sequence[str]) -> str | None:
    """Return the subprotocol to answer with: the first that carries no token, for a browser wants one of its own."""
    return next((name for name in offered if name and not name.startswith(_TOKEN_PROTOCOLS)), None)


class Tokens:
    """Bearer tokens, kept as SHA-256 digests.

    Args:
        grants: Digest of each token and what it grants.
    """

    def __init__(self, grants: Mapping[bytes, Grant]) -> None:
        self._grants = dict(grants)

    def __bool__(self) -> bool:
        return bool(self._grants)

    @classmethod
    def load(cls, path: Path) -> "Tokens":
        """Read a file of lines ``name:token`` or ``name:token:scope,scope``; ``#`` starts a comment.

        Raises:
            ConfigError: The file cannot be read, or a line is wrong; names file and line, never the token.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the tokens file cannot be read.") from error
        grants: dict[bytes, Grant] = {}
        for number, line in enumerate(lines, 1):
            text = line.split("#", 1)[0].strip()
            if not text:
                continue
            parts = [part.strip() for part in text.split(":")]
            if len(parts) not in (2, 3) or not all(parts) or len(parts[1]) < 16:
                raise ConfigError(
                    f"{path}:{number}: expected 'name:token[:scope,scope]' with a token of at least 16 characters."
                )
            scopes = tuple(s.strip() for s in parts[2].split(",")) if len(parts) == 3 else SCOPES
            wrong = [s for s in scopes if s not in SCOPES]
            if wrong:
                raise ConfigError(f"{path}:{number}: unknown scope '{wrong[0]}'; allowed: {', '.join(SCOPES)}.")
            known = digest(parts[1])
            grants[known] = Grant(name=parts[0], scopes=scopes, token_id=known.hex()[:16])
        if not grants:
            raise ConfigError(f"{path}: the tokens file holds no token.")
        return cls(grants)

    def grant(self, token: str) -> Grant:
        """Return what a token grants.

        Raises:
            NotAuthorized: Nobody gave it out.
        """
        presented = digest(token)
        for known, grant in self._grants.items():
            if hmac.compare_digest(known, presented):
                return grant
        raise NotAuthorized("The token is not valid.")


class Access:
    """The checks every connection passes before anything else.

    Args:
        host: Address the daemon binds.
        tokens: Accepted tokens; empty for none configured.
        allow_anonymous: ``auth: none`` was written out.
        allowed_hosts: Host names accepted besides loopback and ``host``.
        allowed_origins: Origins (scheme://host[:port]) accepted besides loopback.
        allow_null_origin: Accept pages opened from disk without a token.
        clock: Seconds since the epoch, for what expires.

    Raises:
        ConfigError: A non-loopback bind without tokens.
    """

    def __init__(
        self,
        *,
        host: str,
        tokens: Tokens,
        allow_anonymous: bool = False,
        allowed_hosts: tuple[str, ...] = (),
        allowed_origins: tuple[str, ...] = (),
        allow_null_origin: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        exposed = not is_loopback(host) or bool(allowed_hosts or allowed_origins)
        if exposed and not tokens and not allow_anonymous:
            raise ConfigError(
                f"Refusing to serve beyond this machine (host '{host}', allowed_hosts or _origins) without tokens: "
                "set 'tokens: FILE', or write 'auth: none' if everybody on that network may listen and speak."
            )
        self._host = host
        self._tokens = tokens
        self._allowed_hosts = {h.lower() for h in allowed_hosts}
        self._allowed_origins = {o.lower().rstrip("/") for o in allowed_origins}
        self._allow_null_origin = allow_null_origin
        self._clock = clock
        self._client_secrets = ClientSecrets()

    @property
    def needs_token(self) -> bool:
        """Whether connections must present a token."""
        return bool(self._tokens)

    def check_source(self, *, host: str | None, origin: str | None) -> None:
        """Check the Host and Origin headers.

        Raises:
            NotAuthorized: One of them is not allowed.
        """
        name = _host_name(host or "")
        if not self._is_known_host(name):
            raise NotAuthorized("This Host is not allowed; add it to allowed_hosts.")
        if origin is None:
            return
        if origin == "null":
            if not (self._allow_null_origin or self._tokens):
                raise NotAuthorized("Pages opened from disk need a token or --allow-null-origin.")
            return
        if origin.lower().rstrip("/") in self._allowed_origins:
            return
        page = _host_of_url(origin)
        if not (is_loopback(page) and is_loopback(name)) and page != name:
            raise NotAuthorized("This Origin is not allowed; add it to allowed_origins.")

    def grant(self, credentials: Credentials) -> Grant | None:
        """Return what a handshake's credentials grant; ``None`` when a token must still come as a message.

        Raises:
            NotAuthorized: It carries a token nobody gave out.
        """
        presented = None
        for name in credentials.protocols:
            for beginning in _TOKEN_PROTOCOLS:
                if name.startswith(beginning):
                    presented = presented or name.removeprefix(beginning)
        if credentials.authorization is not None:
            kind, _, token = credentials.authorization.partition(" ")
            if kind.lower() == "bearer":
                presented = token.strip()
            elif self._tokens:
                raise NotAuthorized("The Authorization header must be 'Bearer TOKEN'.")
        if presented is not None:
            return self.grant_token(presented)
        return None if self._tokens else Grant()

    def grant_token(self, token: str) -> Grant:
        """Return what a token or a client secret grants.

        Where no tokens are configured any token is as good as none; a client secret that cannot be used is refused
        also there, for its connection would start without the configuration it stands for.

        Raises:
            NotAuthorized: Nobody gave it out, or it cannot be used any more.
        """
        if token.startswith(SECRET_PREFIX):
            return self._client_secrets.redeem(token, now=self._clock())
        return self._tokens.grant(token) if self._tokens else Grant()

    def create_client_secret(self, grant: Grant, *, ttl: int, session_config: str) -> tuple[str, int]:
        """Return a secret that opens one connection, and when it expires, in seconds since the epoch.

        Raises:
            NotAuthorized: The grant cannot be given on.
            RateLimited: Too many secrets wait to be used.
        """
        now = self._clock()
        value = self._client_secrets.create(grant, ttl=ttl, session_config=session_config, now=now)
        return value, int(now + ttl)

    def _is_known_host(self, name: str) -> bool:
        if is_loopback(name) or name == self._host.lower() or name in self._allowed_hosts:
            return True
        return self._host in ("0.0.0.0", "::") and _is_address(name)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _host_name(header: str) -> str:
    return _host_of_url(f"//{header}")


def _host_of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise NotAuthorized("The Host or Origin is malformed.") from error
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise NotAuthorized("The Host or Origin is malformed.")
    return (parts.hostname or "").lower()
