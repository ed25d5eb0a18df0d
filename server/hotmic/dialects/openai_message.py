"""What clients of OpenAI's realtime transcription may send; unknown fields are ignored."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hotmic.dialects.complaint import complain
from hotmic.dialects.dialect import Frame
from hotmic.errors import BadAudio, BadField, BadMessage, InvalidJson, UnknownType

LOGPROBS: Literal["item.input_audio_transcription.logprobs"] = "item.input_audio_transcription.logprobs"

Text = Annotated[str, Meta(max_length=2_000)]
Language = Annotated[str, Meta(pattern=r"^([a-z]{2,3})?$")]
Include = list[Literal["item.input_audio_transcription.logprobs"]]
NoiseReductionType = Literal["near_field", "far_field"]
OldFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]


class PcmFormat(Struct, tag="audio/pcm"):
    """PCM16, mono."""

    rate: Literal[24000] = 24000


class PcmuFormat(Struct, tag="audio/pcmu"):
    """G.711 mu-law at 8 kHz."""


class PcmaFormat(Struct, tag="audio/pcma"):
    """G.711 A-law at 8 kHz."""


AudioFormat: TypeAlias = PcmFormat | PcmuFormat | PcmaFormat


class Transcription(Struct):
    """How to transcribe; fields that are not there stay as they are, ``null`` takes a choice back."""

    model: Text | UnsetType | None = UNSET
    language: Language | UnsetType | None = UNSET
    prompt: Text | UnsetType | None = UNSET
    keywords: Annotated[list[Text], Meta(max_length=200)] | UnsetType | None = UNSET


class TurnDetection(Struct):
    """When an item ends by itself."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=2_000)] | None = None
    silence_duration_ms: Annotated[int, Meta(ge=100, le=10_000)] | None = None


class NoiseReduction(Struct):
    """How far the microphone is."""

    type: NoiseReductionType | None = None


class AudioInput(Struct):
    """The speaker's side."""

    format: AudioFormat | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET


class Audio(Struct):
    """Both sides; there is only one."""

    input: AudioInput = msgspec.field(default_factory=AudioInput)


class Session(Struct):
    """A patch of a session's configuration."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = msgspec.field(default_factory=Audio)
    include: Include | UnsetType | None = UNSET


class OldSession(Struct):
    """The same, as the beta of the protocol wrote it."""

    input_audio_format: OldFormat | None = None
    input_audio_transcription: Transcription | None = None
    turn_detection: TurnDetection | UnsetType | None = UNSET
    input_audio_noise_reduction: NoiseReduction | UnsetType | None = UNSET
    include: Include | UnsetType | None = UNSET

    def renewed(self) -> Session:
        """Return it as it is written today."""
        formats: dict[str, AudioFormat] = {"pcm16": PcmFormat(), "g711_ulaw": PcmuFormat(), "g711_alaw": PcmaFormat()}
        heard = AudioInput(
            format=formats.get(self.input_audio_format or ""),
            transcription=self.input_audio_transcription,
            turn_detection=self.turn_detection,
            noise_reduction=self.input_audio_noise_reduction,
        )
        return Session(audio=Audio(input=heard), include=self.include)


class ClientEvent(Struct):
    """Base of what a client sends; an error repeats its ``event_id``."""

    event_id: Annotated[str, Meta(max_length=512)] | None = None


class SessionUpdate(ClientEvent, tag="session.update", kw_only=True):
    """Change the configuration."""

    session: Session


class OldSessionUpdate(ClientEvent, tag="transcription_session.update", kw_only=True):
    """The same in the beta."""

    session: OldSession


class Append(ClientEvent, tag="input_audio_buffer.append", kw_only=True):
    """A chunk of audio."""

    audio: bytes


class Commit(ClientEvent, tag="input_audio_buffer.commit"):
    """What was said until here is an item."""


class Clear(ClientEvent, tag="input_audio_buffer.clear"):
    """What was said since the last item is dropped."""


CLIENT_EVENTS: tuple[type[ClientEvent], ...] = (SessionUpdate, OldSessionUpdate, Append, Commit, Clear)
_KNOWN = {str(message.__struct_config__.tag): message for message in CLIENT_EVENTS}
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(SessionUpdate | OldSessionUpdate | Append | Commit | Clear)


class FaultError(Exception):
    """A frame that is no message of the protocol.

    Args:
        error: What is wrong.
        param: Which field; empty for the whole.
        event_id: The client's name for the frame, where it can be read.
    """

    def __init__(self, error: BadMessage, *, param: str = "", event_id: str | None = None) -> None:
        super().__init__()
        self.error, self.param, self.event_id = error, param, event_id


def decode(frame: Frame) -> Any:
    """Return the message of a frame.

    Raises:
        FaultError: It is none.
    """
    if isinstance(frame, bytes):
        raise FaultError(BadMessage("Frames are JSON text; audio goes into input_audio_buffer.append as base64."))
    try:
        try:
            return _decoder.decode(frame)
        except msgspec.ValidationError as error:
            raise _explain(frame, error) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FaultError(InvalidJson("The message is not valid JSON.")) from error
    except RecursionError as error:
        raise FaultError(InvalidJson("The message is nested too deeply.")) from error


def decode_session(text: str) -> Session:
    """Return the configuration that came with a client secret.

    Raises:
        BadField: It is none.
    """
    try:
        return msgspec.json.decode(text, type=Session)
    except msgspec.ValidationError as error:
        sentence = complain(error, Session)[1]
        raise BadField(f"In the session configuration that came with the client secret: {sentence}") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadField("The session configuration that came with the client secret is not valid JSON.") from error


def _explain(frame: str, error: msgspec.ValidationError) -> FaultError:
    whole = msgspec.json.decode(frame)
    if not isinstance(whole, dict):
        return FaultError(InvalidJson("The message is not a JSON object."))
    event_id = whole.get("event_id")
    if not isinstance(event_id, str) or len(event_id) > 512:
        event_id = None
    kind = whole.get("type")
    if not isinstance(kind, str):
        return FaultError(BadField("The field 'type' is missing or not a string."), param="type", event_id=event_id)
    if kind not in _KNOWN:
        message = f"Invalid value: '{kind[:64]}'. Supported values in a transcription session: {', '.join(_KNOWN)}."
        return FaultError(UnknownType(message), param="type", event_id=event_id)
    param, sentence = complain(error, _KNOWN[kind])
    if param == "audio" and "base64" in str(error):
        return FaultError(BadAudio("The field 'audio' is not valid base64."), param=param, event_id=event_id)
    if param == "session.type":
        sentence = "Only sessions of the type 'transcription' are to be had here, no speech-to-speech."
    return FaultError(BadField(sentence), param=param, event_id=event_id)
