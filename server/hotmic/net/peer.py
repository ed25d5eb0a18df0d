"""A WebSocket, whatever library holds it."""

from typing import Protocol

from hotmic.dialects.dialect import Frame


class PeerGoneError(Exception):
    """The connection is closed.

    Args:
        said_goodbye: Whether the other side closed it of its own accord.
    """

    def __init__(self, *, said_goodbye: bool = False) -> None:
        super().__init__()
        self.said_goodbye = said_goodbye


class Peer(Protocol):
    """A WebSocket, whatever library holds it."""

    address: str

    async def receive(self) -> Frame:
        """Return the next frame.

        Raises:
            PeerGoneError: The connection is closed.
        """

    async def send(self, frame: Frame) -> None:
        """Send a frame; text where it is JSON.

        Raises:
            PeerGoneError: The connection is closed.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
