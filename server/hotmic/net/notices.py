"""What is not as it should be with the daemon: in its log, its status, and told to every control client."""

import structlog

from hotmic.events import WarningRaised
from hotmic.net.hub import Hub

SLOW = 1.0
"""Seconds of waiting for a text past which the daemon says that it is slower than real time."""
SLOW_EVERY = 30.0
"""Seconds between two such warnings."""

log = structlog.get_logger(__name__)


class Notices:
    """The warnings in force, one of each code.

    Args:
        hub: Tells the clients.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._shown: dict[str, str] = {}
        self._slow_at = float("-inf")

    @property
    def shown(self) -> dict[str, str]:
        """The sentence of every code."""
        return dict(self._shown)

    def show(self, code: str, message: str) -> None:
        """Log a warning, keep it for the status and tell every control client; the same one once.

        Args:
            code: Stable.
            message: A sentence; empty takes back what the code said.
        """
        if self.keep(code, message) and message:
            log.warning(message, code=code)
            self._hub.broadcast(WarningRaised(code=code, message=message))

    def keep(self, code: str, message: str) -> bool:
        """Put a warning that was told already into the status; return whether it is new there."""
        is_new = self._shown.get(code, "") != message
        if message:
            self._shown[code] = message
        else:
            self._shown.pop(code, None)
        return is_new

    def receive_lag(self, lag: float, *, now: float) -> None:
        """Watch how old texts are when they come, in seconds."""
        if now - self._slow_at < SLOW_EVERY:
            return
        if lag <= SLOW:
            self.keep("slow", "")
            return
        self._slow_at = now
        self.show("slow", f"Processing is slower than real time: the newest text is {lag:.1f} s behind the audio.")
