"""The configuration of one of OpenAI's transcription sessions, and what it is in our words."""

from typing import Any

import msgspec
from msgspec import UNSET

from hotmic.commands import SessionOptions
from hotmic.dialects import openai_answer as a
from hotmic.dialects import openai_message as m
from hotmic.values import Denoise, Value

FORMATS: dict[str, tuple[str, int]] = {
    "audio/pcm": ("pcm16", 24_000),
    "audio/pcmu": ("mulaw", 8_000),
    "audio/pcma": ("alaw", 8_000),
}
"""Our encoding and the rate in hertz of every format."""
_SHOWN_FORMATS: dict[str, m.AudioFormat] = {
    "audio/pcm": m.PcmFormat(),
    "audio/pcmu": m.PcmuFormat(),
    "audio/pcma": m.PcmaFormat(),
}
_OLD_FORMATS: dict[str, m.OldFormat] = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_DENOISE: dict[str, Denoise] = {"near_field": "auto", "far_field": "on"}


class Configuration(Value, frozen=True, kw_only=True):
    """What is in force; ``None`` where the daemon's own choice holds."""

    format: str = "audio/pcm"
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    keywords: tuple[str, ...] | None = None
    detects_turns: bool = True
    """Whether items end with the speech; else with a commit."""
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    noise_reduction: m.NoiseReductionType | None = None
    has_noise_reduction: bool = False
    """Whether the client said anything about it."""
    has_logprobs: bool = False

    def patched(self, session: m.Session) -> "Configuration":
        """Return it with what a client sets."""
        heard, said = session.audio.input, {}
        if heard.format is not None:
            said["format"] = heard.format.__struct_config__.tag
        if heard.transcription is not None:
            said |= _fields(heard.transcription)
        if heard.turn_detection is not UNSET:
            turns = heard.turn_detection
            said["detects_turns"] = turns is not None
            numbers = {} if turns is None else msgspec.structs.asdict(turns)
            said |= {name: value for name, value in numbers.items() if name != "type" and value is not None}
        if heard.noise_reduction is not UNSET:
            reduction = heard.noise_reduction
            said |= {"noise_reduction": reduction.type if reduction else None, "has_noise_reduction": True}
        if session.include is not UNSET:
            said["has_logprobs"] = bool(session.include)
        return msgspec.structs.replace(self, **said)

    @property
    def options(self) -> SessionOptions:
        """The same in our words, but for the model."""
        return SessionOptions(
            language=self.language,
            prompt=self.prompt,
            hotwords=self.keywords,
            denoise=_DENOISE.get(self.noise_reduction or "", "off") if self.has_noise_reduction else None,
            min_silence_ms=self.silence_duration_ms,
            pre_roll_ms=self.prefix_padding_ms,
            vad_threshold=self.threshold,
            sample_rate=FORMATS[self.format][1],
        )

    def shown(self, session_id: str, *, serving: str | None) -> a.SessionShown:
        """Return it as clients see it; ``serving`` is the model of sessions that chose none."""
        heard = a.AudioInputShown(
            format=_SHOWN_FORMATS[self.format],
            transcription=self._transcription(serving),
            turn_detection=self._turn_detection(),
            noise_reduction=self._noise_reduction(),
        )
        return a.SessionShown(
            id=session_id,
            object="realtime.transcription_session",
            audio=a.AudioShown(input=heard),
            include=self._include(),
        )

    def shown_old(self, session_id: str, *, serving: str | None) -> a.OldSessionShown:
        """Return it as clients of the beta see it."""
        return a.OldSessionShown(
            id=session_id,
            object="realtime.transcription_session",
            input_audio_format=_OLD_FORMATS[self.format],
            input_audio_transcription=self._transcription(serving),
            turn_detection=self._turn_detection(),
            input_audio_noise_reduction=self._noise_reduction(),
            include=self._include(),
        )

    def _transcription(self, serving: str | None) -> a.TranscriptionShown:
        return a.TranscriptionShown(
            model=self.model or serving,
            language=self.language or None,
            prompt=self.prompt or "",
            keywords=list(self.keywords) if self.keywords else UNSET,
        )

    def _turn_detection(self) -> a.TurnDetectionShown | None:
        if not self.detects_turns:
            return None
        return a.TurnDetectionShown(
            threshold=self.threshold,
            prefix_padding_ms=self.prefix_padding_ms,
            silence_duration_ms=self.silence_duration_ms,
        )

    def _noise_reduction(self) -> a.NoiseReductionShown | None:
        return a.NoiseReductionShown(type=self.noise_reduction) if self.noise_reduction else None

    def _include(self) -> m.Include:
        return [m.LOGPROBS] if self.has_logprobs else []


def common_options(session: m.Session) -> tuple[SessionOptions, list[str]]:
    """Return what a session says that every dialect knows, and what no other does, as parts of a sentence."""
    heard = session.audio.input
    words = _fields(heard.transcription) if heard.transcription is not None else {}
    turns = heard.turn_detection or None
    reduction = heard.noise_reduction
    denoise: Denoise | None = None
    if reduction is not UNSET:
        denoise = _DENOISE.get((reduction and reduction.type) or "", "off")
    options = SessionOptions(
        model=words.get("model"),
        language=words.get("language"),
        prompt=words.get("prompt"),
        hotwords=words.get("keywords"),
        denoise=denoise,
        min_silence_ms=turns.silence_duration_ms if turns else None,
        pre_roll_ms=turns.prefix_padding_ms if turns else None,
        vad_threshold=turns.threshold if turns else None,
    )
    others = {
        "'format' is the dialect's own": heard.format is not None,
        "'turn_detection' cannot be null": heard.turn_detection is None,
        "'include' is not known": bool(session.include),
    }
    return options, [what for what, is_said in others.items() if is_said]


def _fields(transcription: m.Transcription) -> dict[str, Any]:
    """Return what a client says about transcription; ``null`` clears."""
    given = {name: value for name, value in msgspec.structs.asdict(transcription).items() if value is not UNSET}
    for name in ("language", "prompt"):
        if name in given:
            given[name] = given[name] or ""
    if "keywords" in given:
        given["keywords"] = tuple(given["keywords"] or ())
    if not given.get("model", True):
        del given["model"]  # nobody is nobody: the model stays
    return given
