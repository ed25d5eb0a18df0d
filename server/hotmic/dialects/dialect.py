"""What every wire protocol looks like to the rest of the daemon: a pure adapter between frames and our words."""

from collections.abc import Sequence

from hotmic.commands import Command, SessionOptions
from hotmic.dialects.wish import Wish
from hotmic.errors import HotmicError
from hotmic.events import Event

Frame = str | bytes


class Dialect:
    """One wire protocol, one instance per connection.

    The attributes are what most protocols need; each says what it has otherwise.
    """

    name: str
    is_speaker: bool = True
    """Whether this connection brings audio."""
    is_greeted: bool = False
    """Whether a new connection hears ``Connected`` first."""
    is_private: bool = True
    """Whether it hears its own session alone, in a channel of its own unless its URL names one."""
    keeps_session: bool = False
    """Whether its session waits for a connection that comes back under the same name, also without numbered chunks."""
    is_appended: bool = False
    """Whether its clients append every text they get: then none may be replaced by a newer one on its way."""
    reads_session_config: bool = False
    """Whether it begins with the configuration of a client secret by itself, which is written in its words."""
    options: SessionOptions = SessionOptions()
    """What its sessions start with, before anything the client says."""
    last_event_id: int | None = None
    """The newest final this client was told, where a session that waited for it tells those it missed."""

    def session_name(self, wish: Wish) -> str:
        """Return the name its session should have, empty for any."""
        return wish.session

    def commands_to_run(self) -> Sequence[Command]:
        """Return what to carry out before the first frame.

        Raises:
            PeerError: The URL asks for what cannot be.
        """
        return ()

    def follow(self, earlier: "Dialect") -> None:
        """Take over what the connection knew whose session this one goes on with."""

    def parse(self, frame: Frame) -> Sequence[Command]:
        """Turn a frame into commands.

        Raises:
            PeerError: The frame is no message of this dialect.
        """
        raise NotImplementedError

    def encode(self, event: Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into frames, none where this client does not want it.

        Args:
            event: What happened.
            timestamp: Wall-clock time in ISO 8601, UTC.
        """
        raise NotImplementedError

    def frames_to_send(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain what answers the frame that was just carried out and is no event of the daemon."""
        return ()

    @property
    def patience(self) -> float | None:
        """Seconds without a frame after which ``overdue_frames`` are sent; ``None`` while nothing waits for that."""
        return None

    def overdue_frames(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain what has waited long enough for the next frame."""
        return ()

    def close_code(self, error: HotmicError) -> int | None:
        """Return the code to close with after an error of this client; ``None`` lets the connection go on."""
        return error.close_code
