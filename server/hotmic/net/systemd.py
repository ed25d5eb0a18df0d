"""What a service manager wants to hear: sd_notify(3), spoken without its library."""

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping

import structlog

PERIOD = 10.0
"""Seconds between two messages where no watchdog asks for more."""
EXTENSION = 60.0
"""Seconds that a start or a stop may go on after each message."""
_EXTEND = f"EXTEND_TIMEOUT_USEC={round(EXTENSION * 1e6)}"

log = structlog.get_logger(__name__)


class Systemd:
    """Tells the service manager that the daemon is ready, that it stops, and as long as its event loop turns, that.

    Does nothing where there is no service manager. The socket is opened once: later there may be no descriptor left.

    Args:
        address: Path of the manager's datagram socket, ``@`` in front for an abstract one; empty for none.
        watchdog: Seconds of silence after which the manager takes the daemon for hung; ``None`` for any.
    """

    def __init__(self, address: str = "", *, watchdog: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._period = PERIOD if watchdog is None else min(PERIOD, watchdog / 2)
        self._is_between = True

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> "Systemd":
        """Build it from what the manager put into the environment, and take that out: it is not for our children."""
        address = environment.pop("NOTIFY_SOCKET", "")
        pid = environment.pop("WATCHDOG_PID", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        is_watched = microseconds.isdigit() and int(microseconds) > 0 and pid in ("", str(os.getpid()))
        return cls(address, watchdog=int(microseconds) / 1e6 if is_watched else None)

    def ready(self, status: str) -> None:
        """Say that the start is over."""
        self._is_between = False
        self._send("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """Say that the daemon is about to end."""
        self._is_between = True
        self._send("STOPPING=1", "STATUS=Stopping.", _EXTEND)

    async def run(self, describe: Callable[[], str]) -> None:
        """Say every few seconds that the event loop turns, and how the daemon is.

        Args:
            describe: Returns a line for ``systemctl status``.
        """
        while self._socket is not None:
            self._send("WATCHDOG=1", f"STATUS={describe()}", *([_EXTEND] if self._is_between else []))
            await asyncio.sleep(self._period)

    def close(self) -> None:
        """Say nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *states: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(states).encode(), self._address)
        except OSError as error:
            log.warning("The service manager could not be told.", reason=error.strerror)
