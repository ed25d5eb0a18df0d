"""Short-lived secrets that a page can be given instead of a token: each opens one connection, once."""

import secrets
from collections import Counter

import msgspec

from hotmic.config.token_file import SECRET_PREFIX, digest
from hotmic.errors import NotAuthorized, RateLimited
from hotmic.net.grant import Grant
from hotmic.values import Value

MOST, MOST_PER_TOKEN = 4096, 256
"""Secrets that may wait to be used, in all and of one token."""
SCOPES = ("speak", "listen")
"""What a secret can carry at most: control stays with who holds the token."""


class _Waiting(Value, frozen=True, kw_only=True):
    grant: Grant
    expires_at: float


class ClientSecrets:
    """Secrets that were given out and not used yet, kept as SHA-256 digests. Times are seconds since the epoch."""

    def __init__(self, *, most: int = MOST, most_per_token: int = MOST_PER_TOKEN) -> None:
        self._most, self._most_per_token = most, most_per_token
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def create(self, grant: Grant, *, ttl: float, session_config: str = "", now: float) -> str:
        """Return a new secret that grants what a token grants, but control.

        Args:
            grant: Of who asks.
            ttl: Seconds until it is worth nothing.
            session_config: What the session of its connection starts with, opaque here.
            now: The time.

        Raises:
            NotAuthorized: The token allows neither speaking nor listening, or is a client secret itself.
            RateLimited: Too many secrets wait to be used.
        """
        scopes = tuple(scope for scope in grant.scopes if scope in SCOPES)
        if grant.is_delegated or not scopes:
            raise NotAuthorized("Client secrets are given to tokens with the scope 'speak' or 'listen'.")
        self._waiting = {known: entry for known, entry in self._waiting.items() if entry.expires_at > now}
        owners = Counter(entry.grant.token_id for entry in self._waiting.values())
        if len(self._waiting) >= self._most or owners[grant.token_id] >= self._most_per_token:
            raise RateLimited("Too many client secrets wait to be used; come again later.", retry_after_ms=10_000)
        value = SECRET_PREFIX + secrets.token_urlsafe(32)
        delegated = msgspec.structs.replace(grant, scopes=scopes, is_delegated=True, session_config=session_config)
        self._waiting[digest(value)] = _Waiting(grant=delegated, expires_at=now + ttl)
        return value

    def redeem(self, value: str, *, now: float) -> Grant:
        """Return what a secret grants, and forget it: the second who presents it is refused.

        One step without an ``await``, so two connections cannot both get it.

        Raises:
            NotAuthorized: It was never given out, was used, or is too old.
        """
        entry = self._waiting.pop(digest(value), None)
        if entry is None or entry.expires_at <= now:
            raise NotAuthorized("The client secret is not valid, was used already, or has expired.")
        return entry.grant
