"""What ``--record`` writes of one session: how it was built, what came in and when, and what it said.

A file is the line ``MAGIC`` and then frames: a length of four bytes, little-endian, and so many bytes of msgpack. The
first frame is the ``Header``, every other one an ``Entry``. A file that was cut off anywhere behind its header, as a
killed daemon leaves it, is readable up to its last whole frame.
"""

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, TypeAlias

import msgspec

from hotmic.audio.segmenter import SegmenterSettings
from hotmic.commands import ClearAudio, Configure, EndAudio, SessionOptions, StartRecording, StopRecording
from hotmic.errors import BadTape
from hotmic.events import (
    Acknowledged,
    AudioCleared,
    ErrorRaised,
    FinalTranscribed,
    NothingTranscribed,
    PartialTranscribed,
    RecordingStarted,
    RecordingStopped,
    SpeechEnded,
    SpeechStarted,
    WarningRaised,
)
from hotmic.policies.policy import PolicySettings
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import Capabilities, DecodeKind, DecodeResult, Value

FORMAT = 1
"""Grows when an older daemon's file can no longer be fed to a session."""
_KIND = b"hotmic tape "
MAGIC = _KIND + b"%d\n" % FORMAT
LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 << 20
"""Far above any chunk or result; more is a broken file."""

SessionCommand: TypeAlias = StartRecording | StopRecording | EndAudio | ClearAudio | Configure
Told: TypeAlias = (
    Acknowledged
    | AudioCleared
    | RecordingStarted
    | RecordingStopped
    | SpeechStarted
    | SpeechEnded
    | PartialTranscribed
    | FinalTranscribed
    | NothingTranscribed
    | ErrorRaised
    | WarningRaised
)
"""What sessions may say."""


class Header(Value, frozen=True, kw_only=True, tag="header"):
    """How the session was built; never whose token or address brought it."""

    version: str
    """Of the daemon."""
    session_id: str
    channel: str
    settings: SessionSettings
    options: SessionOptions
    segmenter: SegmenterSettings


class Surroundings(Value, frozen=True, kw_only=True, tag="surroundings"):
    """What the following inputs find around them; written where it changed."""

    label: str
    cadence: float
    policy: PolicySettings


class Input(Value, frozen=True, kw_only=True):
    """Anything that comes into a session."""

    name: ClassVar[str]

    def feed(self, session: Session) -> None:
        """Hand it to a session as it was handed to the recorded one."""
        raise NotImplementedError


class CommandInput(Input, frozen=True, kw_only=True, tag="command"):
    """A command."""

    name = "a command"
    now: float
    command: SessionCommand

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_command(self.command, now=self.now)


class AudioInput(Input, frozen=True, kw_only=True, tag="audio"):
    """A chunk as it came from the wire."""

    name = "audio"
    now: float
    data: bytes
    encoding: str
    sample_rate: int | None
    seq: int | None

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_audio(
            self.data, now=self.now, encoding=self.encoding, sample_rate=self.sample_rate, seq=self.seq
        )


class ResultInput(Input, frozen=True, kw_only=True, tag="result"):
    """What the engine said about a job."""

    name = "a result"
    now: float
    result: DecodeResult

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_result(self.result, now=self.now)


class ModelInput(Input, frozen=True, kw_only=True, tag="model"):
    """The model that serves from now on."""

    name = "a model"
    model_id: str
    capabilities: Capabilities

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_model(self.model_id, self.capabilities)


class CloseInput(Input, frozen=True, kw_only=True, tag="close"):
    """The speaker is gone."""

    name = "the close"
    now: float

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_close(now=self.now)


class DetachInput(Input, frozen=True, kw_only=True, tag="detach"):
    """The speaker's connection broke."""

    name = "a broken connection"

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_detach()


class AttachInput(Input, frozen=True, kw_only=True, tag="attach"):
    """The speaker is back."""

    name = "a return"
    now: float

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.receive_attach(now=self.now)


class TimerInput(Input, frozen=True, kw_only=True, tag="timer"):
    """The timer."""

    name = "the timer"
    now: float

    def feed(self, session: Session) -> None:
        """Hand it on."""
        session.handle_timer(now=self.now)


class JobName(Value, frozen=True, kw_only=True):
    """Which job was asked for; its audio is known from the inputs."""

    job_id: str
    kind: DecodeKind
    start: int
    stop: int


class JobsOutput(Value, frozen=True, kw_only=True, tag="jobs"):
    """What was drained of jobs."""

    jobs: tuple[JobName, ...]


class EventsOutput(Value, frozen=True, kw_only=True, tag="events"):
    """What was drained of events, before the hub gave finals their ids."""

    events: tuple[Told, ...]


Entry: TypeAlias = (
    Surroundings
    | CommandInput
    | AudioInput
    | ResultInput
    | ModelInput
    | CloseInput
    | DetachInput
    | AttachInput
    | TimerInput
    | JobsOutput
    | EventsOutput
)

_encoder = msgspec.msgpack.Encoder()
_header: msgspec.msgpack.Decoder[Header] = msgspec.msgpack.Decoder(Header)
_entry: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def encode(part: Header | Entry) -> bytes:
    """Return a header or an entry as a frame."""
    body = _encoder.encode(part)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class Tape:
    """A recorded session, read entry by entry.

    Args:
        stream: The file, at its beginning; it stays open while entries are read.

    Raises:
        BadTape: It is no recorded session, or one in another format.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.is_cut = False
        """Whether the file was found to end in the middle of an entry."""
        magic = stream.readline(len(MAGIC) + 8)
        if not magic.startswith(_KIND) or not magic.endswith(b"\n"):
            raise BadTape("This is no recorded session of hotmic.")
        if magic != MAGIC:
            found = magic.removeprefix(_KIND).strip().decode("ascii", "replace")
            raise BadTape(f"The recorded session has the format {found}; this version reads {FORMAT}.")
        body = self._frame()
        if body is None:
            raise BadTape("The recorded session ends before its header does.")
        try:
            self.header = _header.decode(body)
        except msgspec.DecodeError as error:
            raise BadTape(f"The header of the recorded session cannot be read: {error}.") from error

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order.

        Raises:
            BadTape: One cannot be read although it is whole.
        """
        number = 0
        while (body := self._frame()) is not None:
            number += 1
            try:
                yield _entry.decode(body)
            except msgspec.DecodeError as error:
                raise BadTape(f"Entry {number} of the recorded session cannot be read: {error}.") from error

    def _frame(self) -> bytes | None:
        head = self._stream.read(LENGTH_BYTES)
        length = int.from_bytes(head, "little")
        if length > MAX_FRAME_BYTES:
            raise BadTape(f"An entry of {length} bytes is longer than any can be.")
        body = self._stream.read(length) if len(head) == LENGTH_BYTES else b""
        if len(head) < LENGTH_BYTES or len(body) < length:
            self.is_cut = bool(head)
            return None
        return body
