"""Word error rate of the whole way, through the sockets: held-out people and voices, clean and noisy, and nobody.

Each clip is spoken on the audio socket as fast as the daemon takes it, with silence around it; its text is all finals
of its recording. Noise is mixed in before the socket, so voice detection and denoising meet it too.

    python tests/bench/recognition.py --speech DIR --denoise off auto on --json result.json

``--speech`` is a folder laid out as the recipe of the bundled model wants it; without it only synthetic voices speak.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server")]

from jiwer import process_words

from demo_model import augment, evaluate, people
from demo_model.voices import Espeak, Speakers
from hotmic.bench.head import head
from running import RunningDaemon, calling, running_daemon

LEAD_S, TAIL_S = 0.6, 0.6
RATE = 16_000
SPEAKERS = 4

Samples = Any
Case = tuple[Samples, str]


def pcm(samples: Samples, rng: random.Random, snr_db: float | None) -> bytes:
    """Return a clip with silence around it and noise under it."""
    level = 0.25 / max(float(np.abs(samples).max()), 1e-6)
    padded = np.concatenate([np.zeros(int(LEAD_S * RATE)), samples * level, np.zeros(int(TAIL_S * RATE))])
    if snr_db is None:
        padded = padded + np.random.default_rng(rng.randrange(2**32)).normal(0, 3e-4, len(padded))
    else:
        padded = augment.with_noise(padded.astype(np.float32), snr_db, rng)
    return (np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()


def build_sets(speech: Path | None, seed: int = 99) -> dict[str, list[Case]]:
    """Return the sets by name: samples and reference."""
    rng = random.Random(seed)
    speakers = Speakers(Espeak(), held=True)
    sets: dict[str, list[Case]] = {}
    said = [evaluate.held_out_sentence(speakers, rng) for _ in range(100)]
    sets["synthetic voices"] = [(u.samples, u.text) for u in said]
    if speech is not None:
        _, held = people.load(speech)
        takes = [take for speaker in sorted(held.digits) for take in held.digits[speaker]]
        sets["coffee orders"] = [(u.samples, u.text) for u in held.orders]
        sets["single digits"] = [(u.samples, u.text) for u in takes]
        sets["digit strings"] = [
            (u.samples, u.text) for u in (people.digit_string(held, rng, rng.randint(3, 7)) for _ in range(60))
        ]
        sets["command words"] = [(u.samples, u.text) for u in held.commands]
        sets["keywords"] = [(u.samples, u.text) for u in held.keywords]
    return sets


async def discard(socket: Any) -> None:
    """Read a socket and forget what it says: whoever does not read is cut."""
    async for _ in socket:
        pass


async def transcribe(daemon: RunningDaemon, clips: list[bytes]) -> list[str]:
    """Speak clips, several speakers at a time, and return the text of each."""
    texts = [""] * len(clips)
    turns = iter(range(len(clips)))

    async def speak(number: int) -> None:
        channel = f"?channel=wer-{number}"
        async with calling(daemon.audio + channel) as audio, calling(daemon.control + channel) as control:
            reader = asyncio.create_task(discard(audio.socket))
            for turn in turns:
                for begin in range(0, len(clips[turn]), 3200):
                    await audio.socket.send(clips[turn][begin : begin + 3200])
                await audio.say(type="audio_end")
                await control.hear("recording_stopped", limit=120)
                texts[turn] = " ".join(m["text"] for m in control.heard if m["type"] == "final_transcription")
                control.heard.clear()
            reader.cancel()

    await asyncio.gather(*(speak(number) for number in range(SPEAKERS)))
    return texts


def measure(daemon: RunningDaemon, sets: dict[str, list[Case]], snr_db: float | None, label: str) -> dict[str, Any]:
    """Return the word error rate and the share of exact clips of every set."""
    rng = random.Random(7)
    figures: dict[str, Any] = {}
    for name, cases in sets.items():
        heard = asyncio.run(transcribe(daemon, [pcm(samples, rng, snr_db) for samples, _ in cases]))
        reference = [text for _, text in cases]
        figures[name] = {
            "clips": len(cases),
            "word_error_rate": round(process_words(reference, heard).wer, 4),
            "exact": round(sum(a == b for a, b in zip(reference, heard, strict=True)) / len(cases), 4),
        }
        print(f"{label:24} {name:20} {figures[name]}", flush=True)
    return figures


def nobody(daemon: RunningDaemon, make: Callable[[random.Random], Samples], count: int) -> dict[str, Any]:
    """Return how many clips without speech gave text."""
    rng = random.Random(11)
    clips = [(np.clip(make(rng), -1, 1) * 32767).astype("<i2").tobytes() for _ in range(count)]
    heard = asyncio.run(transcribe(daemon, clips))
    figures = {"clips": count, "with_text": sum(bool(text) for text in heard)}
    print(f"{'nobody speaks':45} {figures}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--denoise", nargs="+", default=["off"], choices=["off", "auto", "on"])
    parser.add_argument("--snr", nargs="*", type=float, default=[10.0], help="noisy conditions, in dB")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    above = head()
    sets = build_sets(options.speech)
    results: dict[str, Any] = {}
    for denoise in options.denoise:
        with (
            tempfile.TemporaryDirectory() as folder,
            running_daemon(Path(folder), "--denoise", denoise, env={"HOTMIC_MAX_AUDIO_SPEED": "0"}) as daemon,
        ):
            for snr_db in [None, *options.snr]:
                label = f"denoise {denoise}, " + ("clean" if snr_db is None else f"{snr_db:g} dB")
                results[label] = measure(daemon, sets, snr_db, label)
            results[f"denoise {denoise}, nobody"] = nobody(daemon, augment.nobody, 200)
    if options.json:
        options.json.write_text(json.dumps(above | {"sets": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
