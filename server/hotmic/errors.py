"""The error tree. Two families: the peer's fault and ours.

```
HotmicError
├── PeerError                 the peer sent or asked something wrong; costs nothing, loses nothing
│   ├── BadMessage            bad_message      ├── InvalidJson   invalid_json
│   │                                          ├── UnknownType   unknown_type
│   │                                          ├── BadField      bad_field
│   │                                          ├── WrongSocket   wrong_socket
│   │                                          └── BadAudio      bad_audio
│   ├── TooLarge              too_large        (1009)
│   ├── NotFound              not_found
│   ├── UnknownModel          unknown_model
│   ├── NotAuthorized         not_authorized   ├── TokenRevoked  token_revoked
│   │                         (1008)           └── TokenExpired  token_expired
│   ├── RateLimited           rate_limited     ├── QuotaReached  rate_limited   (1013)
│   ├── SequenceGap           sequence_gap
│   ├── SessionGone           session_gone
│   ├── RingFull              ring_full
│   └── Overloaded            overloaded       (1013)
└── DaemonError               our side failed
    ├── ConfigError           config_error
    ├── BadTape               bad_tape
    ├── DownloadFailed        download_failed
    ├── EngineFailed          engine_failed
    ├── WorkerDied            worker_died
    ├── ModelUnavailable      model_unavailable
    ├── Superseded            superseded
    └── ShuttingDown          shutting_down    (1012)
```
"""

from typing import ClassVar


class HotmicError(Exception):
    """Anything hotmic reports under a stable code.

    The message is a written sentence that may be shown to a peer; the text of foreign exceptions never goes into it.

    Args:
        message: One sentence.
        retry_after_ms: When the same request may succeed, if that is known.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    close_code: ClassVar[int | None] = None

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class PeerError(HotmicError):
    """The peer's mistake."""

    code = "peer_error"


class BadMessage(PeerError):
    """A frame that is not a message of the dialect."""

    code = "bad_message"


class InvalidJson(BadMessage):
    """A text frame that is not a JSON object."""

    code = "invalid_json"


class UnknownType(BadMessage):
    """A message whose ``type`` the dialect does not know."""

    code = "unknown_type"


class BadField(BadMessage):
    """A message with a missing, mistyped or out-of-range field."""

    code = "bad_field"


class WrongSocket(BadMessage):
    """A message that belongs on the other socket."""

    code = "wrong_socket"


class BadAudio(BadMessage):
    """Audio that cannot be samples: bad base64, an odd byte count, an impossible rate."""

    code = "bad_audio"


class TooLarge(PeerError):
    """A message over its size limit."""

    code = "too_large"
    close_code = 1009


class NotFound(PeerError):
    """A path where nothing is."""

    code = "not_found"


class UnknownModel(PeerError):
    """A model id that is no key of models.yaml."""

    code = "unknown_model"


class NotAuthorized(PeerError):
    """A missing, wrong or insufficient token, or a forbidden Origin or Host."""

    code = "not_authorized"
    close_code = 1008


class TokenRevoked(NotAuthorized):
    """The token of an open connection was revoked, or what it grants was changed."""

    code = "token_revoked"


class TokenExpired(NotAuthorized):
    """The token was valid until some time ago."""

    code = "token_expired"


class RateLimited(PeerError):
    """More of something than the limits allow at this moment; the connection stays."""

    code = "rate_limited"
    retryable = True


class QuotaReached(RateLimited):
    """More connections or streams than an address or a token may have at a time."""

    close_code = 1013


class SequenceGap(PeerError):
    """A numbered chunk of audio that is not the next one."""

    code = "sequence_gap"
    retryable = True


class SessionGone(PeerError):
    """A session to be resumed that this daemon does not hold, or not for this client."""

    code = "session_gone"


class RingFull(PeerError):
    """A session sent audio faster than it could be settled, and its ring is full."""

    code = "ring_full"
    retryable = True


class Overloaded(PeerError):
    """No capacity for one more session."""

    code = "overloaded"
    retryable = True
    close_code = 1013


class DaemonError(HotmicError):
    """Our own failure."""

    code = "daemon_error"


class ConfigError(DaemonError):
    """A configuration that cannot be used.

    The message alone is enough for a reader; the parts are there for programs.

    Args:
        message: One sentence with all the parts below.
        file: Configuration file, environment variable or flag at fault.
        line: Line in that file, from 1; 0 when there is no file.
        column: Column in that line, from 1; 0 when there is no file.
        key: Dotted path of the key.
        value: What was written there.
        allowed: What could stand there.
        nearest: The valid key or value nearest to what was written.
    """

    code = "config_error"

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        key: str = "",
        value: str = "",
        allowed: str = "",
        nearest: str = "",
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.value = value
        self.allowed = allowed
        self.nearest = nearest


class BadTape(DaemonError):
    """A file that is no recorded session, or none that this version can read."""

    code = "bad_tape"


class DownloadFailed(DaemonError):
    """Weights could not be fetched from the hub."""

    code = "download_failed"
    retryable = True


class EngineFailed(DaemonError):
    """The engine raised while loading or decoding."""

    code = "engine_failed"


class WorkerDied(DaemonError):
    """The worker process ended or hung."""

    code = "worker_died"
    retryable = True


class ModelUnavailable(DaemonError):
    """No worker serves the model; the message says why."""

    code = "model_unavailable"
    retryable = True


class Superseded(DaemonError):
    """A load that was given up because another model was asked for after it."""

    code = "superseded"


class ShuttingDown(DaemonError):
    """The daemon is stopping and takes no new work."""

    code = "shutting_down"
    retryable = True
    close_code = 1012


def codes(family: type[HotmicError] = HotmicError) -> frozenset[str]:
    """Return every stable code of a family of errors."""
    return frozenset({family.code}).union(*(codes(member) for member in family.__subclasses__()))
