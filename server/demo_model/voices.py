"""Synthetic voices: espeak-ng in process and festival through a pipe (with word times), flite as a program (without).

Voices, not only sentences, are held out: ``HELD_*`` never occurs in training.
"""

import ctypes
import random
import shutil
import subprocess
import tempfile
import wave
import weakref
from pathlib import Path

import numpy as np
import soxr

from demo_model.speech import SAMPLE_RATE, RecipeError, Samples, Utterance, Word, listed, trimmed

ACCENTS = listed("en-us en-us en-us en en en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-029 en-us-nyc")
HELD_ACCENTS = ("en-gb-x-gbcwmd",)
VARIANTS = listed(
    "Alex Andrea Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Mike Mr Nguyen RicishayMax "
    "RicishayMax2 RicishayMax3 Storm Tweaky adam anika antonio aunty belinda benjamin boris caleb david ed edward "
    "edward2 f1 f2 f3 f4 gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 m1 m2 m3 m4 m5 m6 "
    "m8 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 travis zac "
    "grandma announcer"
)
HELD_VARIANTS = listed("f5 m7 Andy linda Michael Alicia victor steph3")
FLITE_VOICES = ("slt", "awb", "kal", "kal16")
HELD_FLITE_VOICES = ("rms",)
FESTIVAL_VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")

_WORD_EVENT = 1
_SYNCHRONOUS = 1
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_PACKAGES = (
    "Debian: apt-get install espeak-ng espeak-ng-data libespeak-ng1 flite "
    "festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"
)


_DONE = "that is all"
_PITCH_PARAMETERS = (
    "(set! int_lr_params '((target_f0_mean {}) (target_f0_std 14) (model_f0_mean 170) (model_f0_std 34)))"
)
_PRINT_STARTS = (
    """(mapcar (lambda (word) (format t "%f\\n" (item.feat word "word_start"))) (utt.relation.items said 'Word))"""
)


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """espeak-ng through its library: 20 ms a sentence, and it tells when each word starts.

    The library keeps global state: one instance per process.

    Raises:
        RecipeError: The library is not installed.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise RecipeError(f"espeak-ng is missing. {_PACKAGES}") from error
        self.sample_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        if self.sample_rate <= 0:
            raise RecipeError(f"espeak-ng does not start; its data may be missing. {_PACKAGES}")
        self._buffers: list[np.ndarray] = []
        self._starts: dict[int, float] = {}
        self._voice = ""
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, sound: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if count > 0 and sound:
            self._buffers.append(np.ctypeslib.as_array(sound, shape=(count,)).copy())
        index = 0
        while events[index].type != 0:
            if events[index].type == _WORD_EVENT:
                self._starts[events[index].text_position] = events[index].audio_position / 1000
            index += 1
        return 0

    def say(
        self, text: str, *, voice: str, rate: int = 170, pitch: int = 50, pitch_range: int = 50, word_gap: int = 0
    ) -> tuple[Samples, list[float | None]]:
        """Speak ``text``; return samples at ``sample_rate`` and each word's start where espeak-ng reported it."""
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise RecipeError(f"espeak-ng has no voice {voice}")
            self._voice = voice
        settings = ((_RATE, rate), (_VOLUME, 100), (_PITCH, pitch), (_RANGE, pitch_range), (_WORD_GAP, word_gap))
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._buffers.clear()
        self._starts.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._buffers) if self._buffers else np.zeros(1, np.int16)
        starts: list[float | None] = []
        position = 1
        for word in text.split():
            starts.append(self._starts.get(position))
            position += len(word) + 1
        return samples.astype(np.float32) / np.float32(32768), starts


def flite(text: str, *, voice: str, stretch: float = 1.0, pitch_hz: int | None = None) -> tuple[Samples, int]:
    """Speak with flite; return samples and their rate.

    Raises:
        RecipeError: flite is not installed.
    """
    if shutil.which("flite") is None:
        raise RecipeError(f"flite is missing. {_PACKAGES}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}"]
        if pitch_hz is not None:
            command += ["--setf", f"int_f0_target_mean={pitch_hz}"]
        subprocess.run([*command, "-t", text, "-o", str(path)], check=True, capture_output=True)
        return read_wave(path)


class Festival:
    """festival as one program that is told sentence after sentence; it tells when each word starts.

    Raises:
        RecipeError: The program is not installed, or none of ``FESTIVAL_VOICES`` is.
    """

    def __init__(self) -> None:
        if shutil.which("festival") is None:
            raise RecipeError(f"festival is missing. {_PACKAGES}")
        self._process = subprocess.Popen(
            ["festival", "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        weakref.finalize(self, _end, self._process)
        known = self._ask("(print (voice.list))")
        self.voices = tuple(voice for voice in FESTIVAL_VOICES if voice in " ".join(known))
        if not self.voices:
            raise RecipeError(f"festival has no English voice. {_PACKAGES}")

    def _ask(self, expression: str) -> list[str]:
        """Evaluate a Scheme expression; return the lines it prints.

        Raises:
            RecipeError: festival ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f'{expression}\n(format t "\\n{_DONE}\\n") (fflush nil)\n')
        except BrokenPipeError as error:
            raise RecipeError("festival ended") from error
        lines = []
        for line in self._process.stdout:
            if line.strip() == _DONE:
                return lines
            lines.append(line.strip())
        raise RecipeError(f"festival ended at {expression}")

    def say(
        self, text: str, *, voice: str, stretch: float = 1.0, pitch_hz: int | None = None
    ) -> tuple[Samples, int, list[float | None]]:
        """Speak ``text``, letters and spaces; return samples, their rate, and each word's start.

        The starts are None when festival divides the text into other words. ``pitch_hz`` is for diphone voices.
        """
        self._ask(f"(voice_{voice})")
        self._ask(f"(Parameter.set 'Duration_Stretch {stretch:.2f})")
        if pitch_hz is not None:
            self._ask(_PITCH_PARAMETERS.format(pitch_hz))
        self._ask(f'(set! said (utt.synth (Utterance Text "{text}")))')
        starts = self._ask(_PRINT_STARTS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            self._ask(f'(utt.save.wave said "{path}" \'riff)')
            samples, sample_rate = read_wave(path)
        times: list[float | None] = [float(start) for start in starts if start]
        count = len(text.split())
        return samples, sample_rate, times if len(times) == count else [None] * count


def _end(process: "subprocess.Popen[str]") -> None:
    # It ends at the end of its input.
    process.communicate()


def read_wave(path: Path) -> tuple[Samples, int]:
    """Read a mono PCM16 WAV file; return samples and their rate."""
    with wave.open(str(path), "rb") as file:
        sample_rate, data = file.getframerate(), file.readframes(file.getnframes())
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768), sample_rate


def spread_starts(starts: list[float | None], end: float, words: list[str]) -> list[float] | None:
    """Fill in word starts that espeak-ng did not report, by the words' lengths in letters.

    The result is strictly rising. None in: nothing was reported at all.
    """
    if all(start is None for start in starts):
        return None
    filled: list[float | None] = [0.0 if starts[0] is None else starts[0], *starts[1:]]
    result = [filled[0] or 0.0]
    index = 1
    while index < len(filled):
        previous = result[-1]
        after = index
        while after < len(filled) and ((later := filled[after]) is None or later <= previous):
            after += 1
        if after == index:
            result.append(float(filled[index] or 0.0))
            index += 1
            continue
        limit = filled[after] if after < len(filled) else max(end, previous + 0.02 * (after - index + 1))
        share = np.cumsum([len(word) for word in words[index - 1 : after]])
        assert limit is not None
        result += [previous + (limit - previous) * float(part / share[-1]) for part in share[:-1]]
        index = after
    return result


class Speakers:
    """All synthetic voices behind one call.

    Args:
        held: Speak with the held-out voices only, none of which is festival's.
        flite_share: Part of the utterances that flite speaks; it knows no word times.
        festival: Speaks ``festival_share`` of the utterances.
    """

    def __init__(
        self,
        espeak: Espeak,
        festival: Festival | None = None,
        *,
        held: bool = False,
        flite_share: float = 0.25,
        festival_share: float = 0.12,
    ) -> None:
        self._espeak = espeak
        self._festival = None if held else festival
        self._festival_share = festival_share
        self._held = held
        self._flite_share = flite_share

    def say(self, text: str, rng: random.Random) -> Utterance:
        """Speak with a random voice, rate, pitch and speed."""
        factor = 1.0 if self._held and rng.random() < 0.5 else rng.uniform(0.88, 1.14)
        if rng.random() < self._flite_share:
            return self._say_flite(text, rng, factor)
        if self._festival is not None and rng.random() < self._festival_share:
            return self._say_festival(self._festival, text, rng, factor)
        if self._held:
            voice = f"{rng.choice(HELD_ACCENTS + ACCENTS)}+{rng.choice(HELD_VARIANTS)}"
        else:
            voice = rng.choice(ACCENTS) + (f"+{rng.choice(VARIANTS)}" if rng.random() < 0.93 else "")
        rate = rng.choice((rng.randint(130, 220), rng.randint(150, 190)))
        gap = rng.choice((0, 0, 0, 0, rng.randint(1, 6)))
        samples, starts = self._espeak.say(
            text, voice=voice, rate=rate, pitch=rng.randint(20, 80), pitch_range=rng.randint(20, 80), word_gap=gap
        )
        return _utterance(samples, self._espeak.sample_rate, starts, text, voice, factor)

    def _say_flite(self, text: str, rng: random.Random, factor: float) -> Utterance:
        voice = rng.choice(HELD_FLITE_VOICES if self._held else FLITE_VOICES)
        pitch = rng.randint(85, 150) if voice.startswith("kal") else None
        samples, sample_rate = flite(text, voice=voice, stretch=rng.uniform(0.8, 1.25), pitch_hz=pitch)
        starts: list[float | None] = [None] * len(text.split())
        return _utterance(samples, sample_rate, starts, text, f"flite:{voice}", factor)

    def _say_festival(self, festival: Festival, text: str, rng: random.Random, factor: float) -> Utterance:
        voice = rng.choice(festival.voices)
        pitch = rng.randint(85, 150) if voice.endswith("diphone") else None
        samples, sample_rate, starts = festival.say(text, voice=voice, stretch=rng.uniform(0.8, 1.25), pitch_hz=pitch)
        return _utterance(samples, sample_rate, starts, text, f"festival:{voice}", factor)


def _utterance(
    samples: Samples, sample_rate: int, starts: list[float | None], text: str, voice: str, factor: float
) -> Utterance:
    """Trim, change the speed by ``factor`` (pitch and tempo together) and bring to 16 kHz."""
    first, last = trimmed(samples, 0.008)
    resampled = soxr.resample(samples[first:last], sample_rate, SAMPLE_RATE / factor, quality="QQ").astype(np.float32)
    moved = [None if start is None else max(0.0, (start - first / sample_rate) / factor) for start in starts]
    spelled = text.split()
    end = len(resampled) / SAMPLE_RATE
    filled = spread_starts(moved, end, spelled)
    words = None
    if filled is not None:
        ends = [*filled[1:], max(end, filled[-1] + 0.02)]
        words = tuple(Word(*item) for item in zip(spelled, filled, ends, strict=True))
    return Utterance(resampled, text, words, voice)
