"""What a connection may do."""

import hashlib
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from hotmic.config.token_file import TokenEntry
from hotmic.errors import NotAuthorized
from hotmic.values import Value

Scope = Literal["control", "speak", "listen"]
SCOPES: tuple[Scope, ...] = ("control", "speak", "listen")
_WILD = "*?"


class Grant(Value, frozen=True, kw_only=True):
    """What a connection may do. ``None`` is no limit of its own."""

    name: str = "anonymous"
    scopes: tuple[str, ...] = SCOPES
    channels: tuple[str, ...] = ()
    """Channels it may speak in and hear, or patterns of them; empty for all."""
    expires_at: float | None = None
    """Seconds since the epoch."""
    connections: int | None = None
    streams: int | None = None
    audio_speed: float | None = None
    audio_minutes_per_day: float | None = None
    token_id: str = ""
    """Digest of its entry in the tokens file: an entry that is changed is another one. Empty for anonymous."""
    is_delegated: bool = False
    """Whether it comes from a client secret that the token's owner gave on."""
    session_config: str = ""
    """What the session starts with, as the JSON object that the maker of the client secret gave; empty for none."""

    @classmethod
    def of(cls, entry: TokenEntry) -> "Grant":
        """Return what an entry of the tokens file grants."""
        return cls(
            name=entry.name,
            scopes=entry.scopes,
            channels=entry.channels,
            expires_at=entry.expires_at,
            connections=entry.connections,
            streams=entry.streams,
            audio_speed=entry.audio_speed,
            audio_minutes_per_day=entry.audio_minutes_per_day,
            token_id=hashlib.sha256(msgspec.json.encode(entry)).hexdigest()[:32],
        )

    @property
    def home(self) -> str | None:
        """The first channel it names, for connections that name none."""
        return next((name for name in self.channels if not set(_WILD) & set(name)), None)

    def require(self, scope: Scope) -> None:
        """Pass if the grant has the scope.

        Raises:
            NotAuthorized: It has not.
        """
        if scope not in self.scopes:
            raise NotAuthorized(f"This token does not carry the scope '{scope}'.")

    def require_channel(self, channel: str) -> None:
        """Pass if the grant extends to a channel.

        Raises:
            NotAuthorized: It does not.
        """
        if self.channels and not any(fnmatchcase(channel, pattern) for pattern in self.channels):
            message = (
                f"This token is not for the channel '{channel}'; name one that it is for, in the URL as ?channel=NAME."
            )
            raise NotAuthorized(message)
