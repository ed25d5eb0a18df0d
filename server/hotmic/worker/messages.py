"""What the pool and a worker's child process say to each other: msgpack structs in frames with a length in front."""

from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from hotmic.config.model import ComputeType, Device, ModelSpec
from hotmic.errors import BadMessage
from hotmic.values import Capabilities, DecodeJob, DecodeResult, Value

MAX_IN_FLIGHT = 2
"""Batches handed to the child: one that it decodes and one that waits in the pipe."""
LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 << 20
"""32 rows of 30 s of audio and their noise profiles are 40 MB."""
OUT_OF_MEMORY = "out_of_memory"
"""The code of a load that failed for lack of memory."""


class Start(Value, frozen=True, kw_only=True, tag="start"):
    """Load a model; the first and only such message."""

    spec: ModelSpec
    directory: Path
    device: Device
    compute_type: ComputeType
    threads: int
    """CPU threads it may use."""
    batch_size: int
    num_workers: int


class Decode(Value, frozen=True, kw_only=True, tag="decode"):
    """Decode one batch."""

    batch_id: int
    jobs: tuple[DecodeJob, ...]
    slot: int | None = None
    """Where in the shared memory the jobs' audio lies; ``None``: they carry it themselves."""
    sizes: tuple[int, ...] = ()
    """Bytes of each job's audio there."""


class Started(Value, frozen=True, kw_only=True, tag="started"):
    """The process runs and is about to load."""

    pid: int


class Progress(Value, frozen=True, kw_only=True, tag="progress"):
    """How far loading or warming is, 0 to 1 within the stage."""

    stage: str
    share: float


class Loaded(Value, frozen=True, kw_only=True, tag="loaded"):
    """The model serves."""

    device: str
    compute_type: str
    reason: str
    """Why this device."""
    threads: int
    capabilities: Capabilities


class Heartbeat(Value, frozen=True, kw_only=True, tag="heartbeat"):
    """The process lives."""

    busy_s: float = 0.0
    """Seconds since the present batch began; 0 between batches."""


class Results(Value, frozen=True, kw_only=True, tag="results"):
    """A batch is done: one result per job, in order."""

    batch_id: int
    results: tuple[DecodeResult, ...]


class Failed(Value, frozen=True, kw_only=True, tag="failed"):
    """The model could not be loaded, or a batch could not be decoded at all."""

    code: str
    message: str
    """May be shown to a peer."""
    batch_id: int | None = None


ToChild = Start | Decode
FromChild = Started | Progress | Loaded | Heartbeat | Results | Failed


def _to_wire(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value)} is no part of a message")


def _from_wire(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind} is no part of a message")


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_wire)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild, dec_hook=_from_wire)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild, dec_hook=_from_wire)


def encode_frame(message: ToChild | FromChild) -> bytes:
    """Return a message as a frame.

    Raises:
        BadMessage: It is longer than a frame may be.
    """
    body = _encoder.encode(message)
    return parse_length(len(body).to_bytes(LENGTH_BYTES, "little")).to_bytes(LENGTH_BYTES, "little") + body


def parse_length(header: bytes) -> int:
    """Return the length of the body that follows a header.

    Raises:
        BadMessage: It is longer than a frame may be.
    """
    length = int.from_bytes(header, "little")
    if length > MAX_FRAME_BYTES:
        raise BadMessage(f"A worker message of {length} bytes is longer than {MAX_FRAME_BYTES}.")
    return length


def parse_to_child(body: bytes) -> ToChild:
    """Return the message in a body.

    Raises:
        BadMessage: It is none.
    """
    try:
        return _to_child.decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage("The pool sent something that is no message.") from error


def parse_from_child(body: bytes) -> FromChild:
    """Return the message in a body.

    Raises:
        BadMessage: It is none.
    """
    try:
        return _from_child.decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage("The worker sent something that is no message.") from error


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read one body from a blocking stream; ``None`` when it has ended.

    Raises:
        BadMessage: The frame is too long or was cut off.
    """
    header = stream.read(LENGTH_BYTES)
    if not header:
        return None
    if len(header) < LENGTH_BYTES:
        raise BadMessage("A worker message was cut off.")
    body = stream.read(parse_length(header))
    if len(body) < parse_length(header):
        raise BadMessage("A worker message was cut off.")
    return body
