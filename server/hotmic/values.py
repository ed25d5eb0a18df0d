"""Frozen value types every layer shares."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Every position and length inside hotmic counts samples at this rate, in hertz."""

Samples = npt.NDArray[np.int16]
"""Mono PCM16 at ``SAMPLE_RATE``, shape ``[n]``."""

DecodeKind = Literal["partial", "final"]
Task = Literal["transcribe", "translate"]
Denoise = Literal["off", "auto", "on"]
PolicyName = Literal["local_agreement", "align_att"]
VadProfile = Literal["default", "seed", "energy", "silero", "webrtc"]
LoadMode = Literal["beside", "replace"]
ModelState = Literal["loading", "warming", "serving", "draining", "retiring", "failed", "unavailable"]
Guard = Literal["", "no_speech", "loop", "token_rate", "known_phrase"]
ExitKind = Literal["signal", "out_of_memory", "exception", "hang", "nonsense", "stopped", "exit"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all value types: immutable and encodable. Subclasses repeat the flags for the type checker."""


class Word(Value, frozen=True, kw_only=True):
    """One recognised word; ``start`` and ``end`` in seconds."""

    word: str
    start: float
    end: float
    probability: float


class Pause(Value, frozen=True, kw_only=True):
    """A pause within a window, in samples from its start."""

    middle: int
    length: int


class DecodeOptions(Value, frozen=True, kw_only=True):
    """What a session asks of the engine; equal options may share a batch."""

    language: str | None = None
    """Language code; ``None`` takes the model's own or detects it."""
    task: Task = "transcribe"
    prompt: str = ""
    hotwords: tuple[str, ...] = ()
    beam: int | None = None
    """Beam of finals; ``None`` takes the model's."""
    fallback: bool = True
    """Whether a final that ran in circles or is most unlikely is decoded again, as ``engines.fallback`` says."""
    alternatives: int = 0
    """Other readings of a final that are wanted, best first; its beam is made wide enough for them."""
    denoise: Denoise = "off"


class DecodeJob(Value, frozen=True, kw_only=True):
    """One self-contained window to decode: it can be sent again to another worker."""

    job_id: str
    session_id: str
    segment_id: str
    kind: DecodeKind
    samples: bytes
    """PCM16 little-endian mono at ``SAMPLE_RATE``."""
    start: int
    """Position of the first sample since the session began."""
    deadline: float
    """Monotonic seconds; the scheduler serves the oldest first within a lane."""
    options: DecodeOptions = DecodeOptions()
    noise: bytes = b""
    """PCM16 of recent non-speech, the noise profile; empty when none was heard."""
    speech_probability: float = 1.0
    """The VAD's mean confidence that this window is speech."""
    word_times: bool = False
    pauses: tuple[Pause, ...] = ()
    """Where one sentence of a final may end and another begin, in order."""
    previous: str = ""
    """What was said in the segment before this window; the last words of it steer a partial."""
    tenant: str = ""
    """Whose token brought the session; the scheduler is fair between them."""
    created: float = 0.0
    """When it was asked for, in monotonic seconds."""
    is_from_file: bool = False
    """Whether nobody speaks it now: it goes when nothing that is spoken waits."""


class DecodeResult(Value, frozen=True, kw_only=True):
    """What the engine says about one window. Word times count seconds from the start of the window."""

    job_id: str
    model_id: str = ""
    """Which model decoded it; the pool's to fill in."""
    text: str = ""
    words: tuple[Word, ...] = ()
    language: str = ""
    language_probability: float = 1.0
    """Confidence of a detected language; 1 where the session chose it."""
    alternatives: tuple[str, ...] = ()
    """Other readings, best first, where the options want them."""
    no_speech_probability: float = 0.0
    average_logprob: float = 0.0
    """Mean over its tokens."""
    tokens: int = 1
    """How many the engine generated, the closing one included."""
    decode_s: float = 0.0
    """Wall seconds of the batch this row was part of."""
    suppressed: Guard = ""
    """The guard that removed the text, if one did."""
    error_code: str = ""
    error_message: str = ""


class Capabilities(Value, frozen=True, kw_only=True):
    """What a loaded model can do."""

    streaming: bool = False
    word_times: bool = True
    languages: tuple[str, ...] = ()
    """Codes; empty where any will do."""
    tasks: tuple[Task, ...] = ("transcribe",)
    max_window: float = 30.0
    """Longest window one decode covers, in seconds."""
    pause_after: float | None = None
    """Seconds after which a window of a final ends at a clear pause; ``None`` for windows as long as can be."""
    batch: int = 8
    """Most rows of one batch."""
    batches_in_flight: int = 1
    """Batches it is best handed before the first is back: two keep a GPU busy, one keeps latency low on a CPU."""


class LoadProgress(Value, frozen=True, kw_only=True):
    """How far a model is on its way to serving; ``progress`` runs from 0 to 1 within all stages together."""

    model_id: str
    stage: Literal["downloading", "starting", "loading", "warming", "serving"]
    progress: float


class WorkerExit(Value, frozen=True, kw_only=True):
    """How a worker ended.

    ``signal``: by a signal that we did not send; ``out_of_memory``: killed by the kernel or by an allocation that
    failed; ``exception``: by an error of its own; ``hang``, ``nonsense``, ``stopped``: by us, because it was silent,
    answered what nobody asked, or was not needed any more; ``exit``: by itself, without a word.
    """

    kind: ExitKind
    message: str
    """A sentence, which may be shown to a peer."""
    at: float = 0.0
    """When, in monotonic seconds."""


class ModelStatus(Value, frozen=True, kw_only=True):
    """One model as the status shows it."""

    model_id: str
    state: ModelState
    device: str = ""
    compute_type: str = ""
    load_seconds: float = 0.0
    reason: str = ""
    restarts: int = 0
    pid: int = 0
    sessions: int = 0
    """Sessions that chose it for themselves."""
    last_exit: WorkerExit | None = None
    """How its last worker ended that was not told to."""
    quarantined: int = 0
    """Jobs that were left out because they killed two workers."""
    resent: int = 0
    """Jobs that were sent again because a worker died under them."""
    in_flight: int = 0
    """Batches that its worker has."""


class Pool(Protocol):
    """Keeps models served by workers; what ``net`` knows of them."""

    @property
    def current(self) -> str | None:
        """The id of the model that serves sessions without a choice of their own."""

    def capabilities(self, model_id: str) -> Capabilities:
        """Return what a served model can do.

        Raises:
            ModelUnavailable: It is not served.
        """

    def serves(self, model_id: str) -> bool:
        """Return whether a model takes batches."""

    def status(self) -> list[ModelStatus]:
        """Return every known model's state."""

    async def load(self, model_id: str, *, mode: LoadMode, report: Callable[[LoadProgress], None]) -> ModelStatus:
        """Load a model and make it the current one; the old one keeps serving until then.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded; the message says why.
            DownloadFailed: Its weights are missing and could not be fetched.
            Superseded: Another model was asked for in the meantime.
        """

    async def acquire(self, model_id: str, *, report: Callable[[LoadProgress], None]) -> str:
        """Serve a model for a session that chose it; return its id. Every call wants a ``release``.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded, or too many others are in use.
            DownloadFailed: Its weights are missing and could not be fetched.
        """

    def release(self, model_id: str) -> None:
        """A session that chose a model is over or chose another."""

    async def unload(self, model_id: str) -> None:
        """End the worker of a model.

        Raises:
            UnknownModel: No such model is loaded.
        """

    def decode(self, model_id: str, jobs: Sequence[DecodeJob]) -> Awaitable[list[DecodeResult]]:
        """Decode one batch: one result per job, in order; survives a dying worker by sending the jobs again."""

    async def close(self) -> None:
        """End all workers."""
