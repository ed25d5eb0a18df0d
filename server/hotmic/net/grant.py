"""What a connection may do."""

import hashlib
from typing import Literal

from hotmic.errors import NotAuthorized
from hotmic.values import Value

Scope = Literal["control", "speak", "listen"]
SCOPES: tuple[Scope, ...] = ("control", "speak", "listen")


class Grant(Value, frozen=True, kw_only=True):
    """What a connection may do."""

    name: str = "anonymous"
    scopes: tuple[str, ...] = SCOPES
    token_id: str = ""
    """Which token it comes from, the beginning of its digest; empty where no tokens are configured."""
    is_delegated: bool = False
    """Whether it comes from a client secret that the token's owner gave on."""
    session_config: str = ""
    """What the session starts with, as the JSON object that the maker of the client secret gave; empty for none."""

    def require(self, scope: Scope) -> None:
        """Pass if the grant has the scope.

        Raises:
            NotAuthorized: It has not.
        """
        if scope not in self.scopes:
            raise NotAuthorized(f"This token does not carry the scope '{scope}'.")


def digest(token: str) -> bytes:
    """Return what is kept of a token instead of the token.

    A plain hash is enough for them: tokens are long and random, so there is nothing to guess.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
