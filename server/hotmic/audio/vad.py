"""Is there speech in this frame? One protocol, and the profile that decides who answers."""

from typing import Protocol

from hotmic.values import SAMPLE_RATE, Samples, VadProfile, Value


class Vad(Protocol):
    """Decides frame by frame; holds the state of one stream."""

    @property
    def frame(self) -> int:
        """Samples per decision."""

    def probabilities(self, samples: Samples) -> list[float]:
        """Return how likely each of the next frames is speech, 0..1; how many come at once changes nothing.

        Args:
            samples: A whole number of frames, shape ``[n * self.frame]``, at least one.
        """

    def reset(self) -> None:
        """Forget the stream: the next frame is the first."""


class SegmenterNumbers(Value, frozen=True, kw_only=True):
    """The segmenter's arguments that belong to a VAD profile, all but the thresholds in samples."""

    min_speech: int = 1536
    """96 ms of speech confirm a start."""
    start_gap: int = 1024
    """A gap up to this long inside those 96 ms is forgiven: plosives close the mouth for 50 ms."""
    min_silence: int = 9600
    """600 ms of silence confirm an end."""
    pre_roll: int = 4800
    hang_over: int = 4800
    start_threshold: float = 0.4
    stay_threshold: float = 0.25
    """Once speech is under way a frame needs less to count: the ends of words are quiet."""
    max_segment: int = 28 * SAMPLE_RATE


_SEED_CHUNK = 1024


def segmenter_numbers(profile: VadProfile) -> SegmenterNumbers:
    """Return the numbers that go with a profile.

    ``seed`` keeps the first system's: an utterance needs 20 loud chunks of 1024 samples (1.3 s) and ends after 30
    quiet ones (1.9 s), so it swallows short words.
    """
    if profile == "seed":
        return SegmenterNumbers(
            min_speech=20 * _SEED_CHUNK,
            start_gap=30 * _SEED_CHUNK - 1,
            min_silence=30 * _SEED_CHUNK,
            stay_threshold=0.5,
        )
    return SegmenterNumbers()


def build_vad(profile: VadProfile) -> Vad:
    """Return a fresh VAD for one stream.

    Raises:
        ConfigError: The profile needs the Silero model and it is not installed.
    """
    match profile:
        case "default":
            from hotmic.audio.vad_gated import GatedVad

            return GatedVad()
        case "energy":
            from hotmic.audio.vad_energy import EnergyVad

            return EnergyVad()
        case "silero":
            from hotmic.audio.vad_silero import SileroVad

            return SileroVad()
        case "webrtc":
            from hotmic.audio.vad_webrtc import WebrtcVad

            return WebrtcVad()
        case "seed":
            from hotmic.audio.vad_seed import SeedVad

            return SeedVad()
