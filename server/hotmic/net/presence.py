"""Which connection speaks in a session, and how long a session waits for one that broke."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from hotmic.dialects.dialect import Dialect
from hotmic.errors import Overloaded, SessionGone
from hotmic.events import Event
from hotmic.session.session import Session
from hotmic.session.state import State


@dataclass(frozen=True, slots=True)
class Owner:
    """The connection that speaks in a session."""

    hear: Callable[[Event], None]
    """Tells it what concerns the speaker alone."""
    lose: Callable[[], None] = lambda: None
    """Called when another connection goes on with the session."""
    end: Callable[[], None] = lambda: None
    """Called when the session is over and everything is told."""
    is_awaited: bool = False
    """Whether the session waits for it also where its chunks are not numbered."""
    dialect: Dialect | None = None
    """What it speaks; hands on what it told when another connection goes on with the session."""


class Presence:
    """The owners of all sessions.

    Args:
        ttl: Seconds for which a session waits.
        close: Ends a session that was waited for in vain.
    """

    def __init__(self, *, ttl: float, close: Callable[[str], None]) -> None:
        self._ttl, self._close = ttl, close
        self._owners: dict[str, Owner] = {}
        self._absent: dict[str, asyncio.TimerHandle] = {}

    def enter(self, session_id: str, owner: Owner) -> None:
        """Note who speaks in a new session."""
        self._owners[session_id] = owner

    def tell(self, session_id: str, event: Event) -> None:
        """Tell the speaker alone."""
        self._owners[session_id].hear(event)

    def await_return(self, session: Session) -> bool:
        """The speaker's connection broke: return whether its session waits for it, and then let it wait."""
        if not self._ttl or (session.next_seq is None and not self._owners[session.session_id].is_awaited):
            return False
        session.receive_detach()
        loop = asyncio.get_running_loop()
        self._absent[session.session_id] = loop.call_later(self._ttl, self._close, session.session_id)
        return True

    def resume(self, session: Session | None, owner: Owner, *, tenant: str, now: float) -> Session:
        """Give a session to another connection of the same speaker.

        A connection that still holds it loses it: the speaker knows better than we whether it is dead.

        Raises:
            SessionGone: There is no such session, or not of this tenant, or it is none that waits.
            Overloaded: It was waited for in vain and its last finals are on their way: what they settle is not to be
                said again.
        """
        old = None if session is None else self._owners[session.session_id]
        if session is None or old is None or session.tenant != tenant:
            raise SessionGone("There is no such session to resume: begin a new one with what was not acknowledged.")
        if session.next_seq is None and not (old.is_awaited and owner.is_awaited):
            raise SessionGone("The chunks of this session are not numbered: begin a new one.")
        if session.state is State.CLOSED:
            raise Overloaded("The session is being finished; come again in a moment.", retry_after_ms=500)
        waiting = self._absent.pop(session.session_id, None)
        if waiting is not None:
            waiting.cancel()
        else:
            old.lose()
        self._owners[session.session_id] = replace(owner, end=old.end)
        if owner.dialect is not None and old.dialect is not None:
            owner.dialect.follow(old.dialect)
        session.receive_attach(now=now)
        return session

    def forget(self, session_id: str) -> None:
        """A session is over."""
        self._owners.pop(session_id).end()
        waiting = self._absent.pop(session_id, None)
        if waiting is not None:
            waiting.cancel()

    def close(self) -> None:
        """Wait for nobody any more."""
        for waiting in self._absent.values():
            waiting.cancel()


def kept_name(name: str, tenant: str, channel: str) -> str:
    """Return the name of a session that waits for its speaker: two tenants may use the same one, and so may channels.

    Args:
        name: What the speaker calls it.
        tenant: Whose token or address brings it.
        channel: The channel that the speaker named; empty where it is heard in one of its own.
    """
    return f"{name}-{hashlib.sha256(f'{tenant} {channel}'.encode()).hexdigest()[:12]}"
