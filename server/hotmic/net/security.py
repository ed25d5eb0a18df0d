"""Who may connect: Origin, Host and tokens.

Browsers send cookies and open sockets for any page, so Origin and Host are checked even on loopback (RFC 6455 section
10.2; DNS rebinding). Programs send no Origin and pass that check.
"""

import hmac
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from hotmic.config.token_file import SECRET_PREFIX, TokenEntry, digest, load
from hotmic.errors import ConfigError, NotAuthorized, TokenExpired, TokenRevoked
from hotmic.net.address import Addresses
from hotmic.net.allowance import Allowances
from hotmic.net.client_secret import ClientSecrets
from hotmic.net.grant import Grant
from hotmic.values import Value

log = structlog.get_logger(__name__)

_TOKEN_PROTOCOLS = ("hotmic-token.", "openai-insecure-api-key.")
"""Beginnings of subprotocols whose rest is a token."""


class Credentials(Value, frozen=True, kw_only=True):
    """What a handshake or a request presents."""

    authorization: str | None = None
    """The ``Authorization`` header."""
    protocols: tuple[str, ...] = ()
    """Subprotocols: browsers can set no other header."""
    query: str | None = None
    """A token in the URL, where the protocol takes one there."""

    def token(self) -> str | None:
        """Return the token, by whichever way it came; ``None`` for none.

        Raises:
            NotAuthorized: An empty one, or two that differ: it would be a guess whose rights are meant.
        """
        found = [] if self.query is None else [self.query]
        for name in self.protocols:
            found += [name.removeprefix(beginning) for beginning in _TOKEN_PROTOCOLS if name.startswith(beginning)]
        if self.authorization is not None:
            kind, _, token = self.authorization.strip().partition(" ")
            if kind.lower() != "bearer":
                raise NotAuthorized("The Authorization header must be 'Bearer TOKEN'.")
            found.append(token.strip())
        if not all(found):
            raise NotAuthorized("An empty token was presented.")
        if len(set(found)) > 1:
            raise NotAuthorized("Two different tokens were presented; present one.")
        return found[0] if found else None


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
        self._ids = {grant.token_id for grant in self._grants.values()}

    def __bool__(self) -> bool:
        return bool(self._grants)

    @classmethod
    def of(cls, entries: Iterable[TokenEntry]) -> "Tokens":
        """Return the tokens of a file."""
        return cls({bytes.fromhex(entry.sha256): Grant.of(entry) for entry in entries})

    @classmethod
    def load(cls, path: Path) -> "Tokens":
        """Read a tokens file.

        Raises:
            ConfigError: See ``token_file.load``; or it holds no token.
        """
        found = load(path)
        if not found.entries:
            raise ConfigError(f"{path}: the tokens file holds no token; hotmic token add makes one.", file=str(path))
        if found.is_plain:
            log.warning("The tokens file holds tokens that can be read; 'hotmic token add' makes digests of them.")
        return cls.of(found.entries)

    def holds(self, token_id: str) -> bool:
        """Return whether an entry of the file is still as it was."""
        return token_id in self._ids

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
        allowed_addresses: Ranges of addresses that may connect; empty for all.
        trusted_proxies: Ranges of reverse proxies, whose word on where a connection comes from counts.
        clock: Seconds since the epoch, for what expires.

    Raises:
        ConfigError: A non-loopback bind without tokens, or an entry that is no range of addresses.
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
        allowed_addresses: tuple[str, ...] = (),
        trusted_proxies: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        exposed = not is_loopback(host) or bool(allowed_hosts or allowed_origins or trusted_proxies)
        if exposed and not tokens and not allow_anonymous:
            raise ConfigError(
                f"Refusing to serve beyond this machine (host '{host}', allowed_hosts, _origins or trusted_proxies) "
                "without tokens: name their file ('tokens: FILE', --tokens FILE), or write 'auth: none' (--auth none) "
                "if everybody on that network may listen and speak."
            )
        self.addresses = Addresses(allowed=allowed_addresses, trusted=trusted_proxies)
        self._host = host
        self._tokens, self.needs_token = tokens, bool(tokens)
        self._allowed_hosts = {h.lower() for h in allowed_hosts}
        self._allowed_origins = {o.lower().rstrip("/") for o in allowed_origins}
        self._allow_null_origin = allow_null_origin
        self._clock = clock
        self._client_secrets, self._allowances = ClientSecrets(), Allowances()

    def replace_tokens(self, tokens: Tokens) -> None:
        """Accept other tokens from now on. Where there were some, none left means that nobody is let in."""
        self._tokens = tokens

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
            if not (self._allow_null_origin or self.needs_token):
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
        try:
            presented = credentials.token()
        except NotAuthorized:
            if self.needs_token:
                raise
            presented = None
        if presented is not None:
            return self.grant_token(presented)
        return None if self.needs_token else Grant()

    def grant_token(self, token: str) -> Grant:
        """Return what a token or a client secret grants.

        Where no tokens are configured any token is as good as none; a client secret that cannot be used is refused
        also there, for its connection would start without the configuration it stands for.

        Raises:
            NotAuthorized: Nobody gave it out, or it cannot be used any more.
        """
        if token.startswith(SECRET_PREFIX):
            grant = self._client_secrets.redeem(token, now=self._clock())
        else:
            grant = self._tokens.grant(token) if self.needs_token else Grant()
        self.check_grant(grant)
        return grant

    def token_of(self, grant: Grant | None) -> str | None:
        """Return the name of the token behind a grant; ``None`` where there is none, or everybody is anonymous."""
        return grant.name if grant is not None and self.needs_token else None

    def check_grant(self, grant: Grant) -> None:
        """Pass as long as the token that a grant comes from is in force.

        Raises:
            TokenRevoked: It stands no more in the tokens file, or otherwise than it did.
            TokenExpired: Its time is over.
        """
        if not self.needs_token:
            return
        if not self._tokens.holds(grant.token_id):
            raise TokenRevoked("The token was revoked, or what it grants was changed.")
        if grant.expires_at is not None and grant.expires_at <= self._clock():
            raise TokenExpired("The token has expired.")

    def spend(self, grant: Grant, seconds: float) -> None:
        """Count audio that a token brings.

        Raises:
            QuotaReached: It would be more than the token may bring today.
        """
        if grant.audio_minutes_per_day is not None:
            most = 60 * grant.audio_minutes_per_day
            self._allowances.spend(grant.name, seconds, most=most, now=self._clock())

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
