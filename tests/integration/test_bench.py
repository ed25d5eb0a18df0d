"""hotmic bench, as people run it; runs so short measure nothing, so only what must always hold is asked."""

import asyncio
import itertools
import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_support import Listener
from hotmic.bench.clip import bundled_clips
from hotmic.bench.frontend import BARE
from hotmic.bench.shape import VERSION
from hotmic.engines import echo
from hotmic.values import SAMPLE_RATE, Samples
from running import running_daemon

pytestmark = pytest.mark.integration

ECHO = """\
default: echo
models:
  - {id: echo, name: Echo, type: echo, source: {bundled: echo}, languages: [en]}
"""


def bench(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hotmic", "bench", *command], capture_output=True, text=True, timeout=300
    )


def measured(path: Path, *command: str) -> dict[str, Any]:
    done = bench(*command, "--json", str(path))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(path.read_text())
    assert list(result)[:3] == ["command", "version", "environment"]
    assert result["command"].startswith(f"hotmic bench {command[0]} ")
    assert result["command"].endswith(f" --json {path.name}")
    assert str(path.parent) not in path.read_text()
    return result


def assert_nothing_is_lost(run: dict[str, Any], streams: int) -> None:
    text = run["text"]
    assert run["streams"] == streams == len(run["per_stream"])
    assert (run["errors"], text["unheard"], text["duplicates"], text["unfinished_streams"]) == ({}, 0, 0, 0)
    assert text["finals"] >= text["utterances"] >= streams
    assert run["sender"]["dropped"] == 0
    assert run["sender"]["chunks"] >= run["audio_s"] / 0.1
    assert run["final_after_endpoint_s"]["count"] == text["finals"] - text["unspoken"]
    assert run["partial_age_s"]["count"] >= streams


def write_wave(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def write_numbers(folder: Path) -> None:
    """Write clips that say numbers which no other clip says."""
    texts = {}
    for clip in range(6):
        write_wave(folder / f"{clip}.wav", echo.speech(14, speaker=clip + 1))
        texts[str(clip)] = " ".join(str((clip + 1) * echo.SPEAKER_STRIDE + number) for number in range(14))
    (folder / "references.json").write_text(json.dumps(texts))


@pytest.mark.parametrize("wire", ["binary", "json"])
def test_echo_hears_every_chunk_of_every_stream(tmp_path: Path, wire: str) -> None:
    write_numbers(tmp_path)
    (tmp_path / "models.yaml").write_text(ECHO)
    command = ("live", "--models", str(tmp_path / "models.yaml"), "--speech", str(tmp_path), "--wire", wire)
    result = measured(tmp_path / "live.json", *command, "--streams", "3", "--seconds", "4", "--vad", "energy")
    (run,) = result["runs"]
    assert_nothing_is_lost(run, 3)
    assert run["word_error_rate"] == 0.0, [stream["texts"] for stream in run["per_stream"]]
    assert run["flicker"]["stable"] == 0.0
    assert run["text"]["unspoken"] == 0


def test_the_bundled_model_is_measured_and_plotted(tmp_path: Path) -> None:
    command = ("live", "--streams", "1,2", "--seconds", "4", "--plots", str(tmp_path / "plots"))
    result = measured(tmp_path / "live.json", *command)
    assert [run["streams"] for run in result["runs"]] == [1, 2]
    for run in result["runs"]:
        assert_nothing_is_lost(run, run["streams"])
        assert run["word_error_rate"] == 0.0, [stream["texts"] for stream in run["per_stream"]]
        assert run["word_first_shown_after_its_end_s"]["count"] > 5
        assert run["word_first_shown_after_its_end_s"]["mean"] <= run["word_stable_after_its_end_s"]["mean"]
        assert run["final_after_speech_s"]["p50"] > run["final_after_endpoint_s"]["p50"] > 0
        if sys.platform == "linux":
            assert run["cost"]["gateway"]["cpu_s"] > 0
            assert run["cost"]["workers"]["resident_mb"]["highest"] > 10
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"latency.svg", "streams.svg", "words.svg"}


def test_a_daemon_that_runs_already_is_measured(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        done = bench(
            *("live", "--uri-control", daemon.control, "--uri-audio", daemon.audio),
            *("--streams", "1", "--seconds", "2", "--duty", "0.5", "--json", str(tmp_path / "live.json")),
        )
        assert done.returncode == 0, done.stderr
        assert daemon.process.poll() is None
    (run,) = json.loads((tmp_path / "live.json").read_text())["runs"]
    assert_nothing_is_lost(run, 1)
    assert run["cost"] is None
    assert "hotmic, 1 at once" in done.stdout


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ((), []),
        (("--policy", "align_att"), [{"policy": "align_att"}]),
        (("--endpoint-ms", "400"), [{"min_silence_ms": 400}]),
    ],
)
def test_what_is_asked_for_reaches_the_daemon(
    tmp_path: Path, flags: tuple[str, ...], asked: list[dict[str, Any]]
) -> None:
    listener, result = Listener(), tmp_path / "live.json"

    async def run() -> int:
        async with listener.listening() as (control, audio):
            command = ("--uri-control", control, "--uri-audio", audio, "--streams", "1", "--seconds", "1", *flags)
            return (await asyncio.to_thread(bench, "live", *command, "--json", str(result))).returncode

    assert asyncio.run(run()) == 0
    told = [{k: v for k, v in message.items() if k not in ("type", "request_id")} for message in listener.configured]
    assert told == asked
    assert json.loads(result.read_text())["options"]["endpoint_delay"] == (0.4 if "--endpoint-ms" in flags else 0.6)


def test_at_half_duty_a_stream_is_silent_for_half_of_the_time(tmp_path: Path) -> None:
    """A second of sound, one for the endpoint and the space behind it, and as much silence again."""
    write_wave(tmp_path / "tone.wav", (8000 * np.sin(np.arange(SAMPLE_RATE) / 5)).astype(np.int16))
    listener = Listener()

    async def run() -> int:
        async with listener.listening() as (control, audio):
            command = ("--uri-control", control, "--uri-audio", audio, "--streams", "1", "--speech", str(tmp_path))
            return (await asyncio.to_thread(bench, "live", *command, "--seconds", "4", "--duty", "0.5")).returncode

    assert asyncio.run(run()) == 0
    chunks = [chunk for chunk in listener.audio["bench-0"] if isinstance(chunk, bytes)]
    is_loud = [bool(np.abs(np.frombuffer(chunk, "<i2")).max() > 1000) for chunk in chunks]
    assert is_loud == [True] * 10 + [False] * 30


def test_both_servers_wait_as_long_for_an_endpoint_as_they_are_told(tmp_path: Path) -> None:
    """The clip is silent for a second and a half between its halves, which ends a segment as the servers are set."""
    clip = min(bundled_clips(), key=lambda clip: clip.seconds)
    write_wave(tmp_path / "pause.wav", np.tile(clip.samples, 2))
    command = ("live", "--speech", str(tmp_path), "--streams", "1", "--seconds", "1", "--baseline", "lock")
    result = measured(tmp_path / "live.json", *command, "--endpoint-ms", "2000")
    assert [(run["server"], run["text"]["finals"]) for run in result["runs"]] == [("hotmic", 1), ("lock", 1)]


def test_the_lock_baseline_hears_the_same_streams(tmp_path: Path) -> None:
    command = ("live", "--streams", "1", "--seconds", "3", "--duty", "0.5", "--baseline", "lock")
    result = measured(tmp_path / "live.json", *command)
    ours, lock = result["runs"]
    assert (ours["server"], lock["server"]) == ("hotmic", "lock")
    for run in result["runs"]:
        assert_nothing_is_lost(run, 1)
    assert ours["text"]["utterances"] == lock["text"]["utterances"]
    assert lock["real_time_factor"] > 0


def test_the_engine_is_measured_against_the_bare_library(tmp_path: Path) -> None:
    result = measured(tmp_path / "engine.json", "engine", "--seconds", "0.1", "--threads", "1")
    assert result["model"] == "demo-en"
    assert [(entry["kind"], entry["window_s"]) for entry in result["saturation"]] == [("partial", 5.0), ("final", 5.0)]
    assert all(entry["share_range"][0] > 0 for entry in result["saturation"])
    assert result["texts"]["word_error_rate"] == {"cropped": 0.0, "stock": 0.0}


def test_the_gateway_is_measured_without_a_model(tmp_path: Path) -> None:
    command = ("frontend", "--streams", "2", "--seconds", "0.5", "--turns", "1")
    result = measured(tmp_path / "frontend.json", *command)
    kinds = {(figure["vad"], figure["sound"], figure["encoding"]) for figure in result["figures"]}
    bare = set(itertools.product((BARE,), ("quiet",), ("json", "binary")))
    assert kinds == bare | set(itertools.product(("energy", "default"), ("quiet", "speech"), ("json", "binary")))
    assert all(figure["us_per_chunk"] > 0 for figure in result["figures"])


def test_a_stub_of_a_shape_is_served_and_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = measured(tmp_path / "live.json", "live", "--shape", "tiny", "--streams", "1", "--seconds", "2")
    assert (tmp_path / "hotmic" / "shapes" / f"tiny-{VERSION}" / "model.bin").is_file()
    (run,) = result["runs"]
    assert (run["errors"], run["text"]["unfinished_streams"], run["text"]["unheard"]) == ({}, 0, 0)
    assert run["word_first_shown_after_its_end_s"]["count"] > 3, "it says words, though none that were said"


def test_a_sweep_stops_at_its_end(tmp_path: Path) -> None:
    result = measured(tmp_path / "capacity.json", "capacity", "--max-streams", "2", "--seconds", "2")
    found = result["sweeps"]["hotmic"]
    assert 0 <= found["sustained"] <= 2
    assert all(step["text"]["utterances"] >= step["streams"] for step in found["steps"])
    assert found["limited_by_max_streams"] == (found["sustained"] == 2)
    assert result["limits"] == {
        "partial_age_s": 1.0,
        "partial_gap_s": 2.3,
        "final_after_endpoint_s": 0.8,
        "drift_s": 0.1,
        "sender_lateness_s": 0.1,
    }


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("live", "--streams", "1,x"), "'1,x' is no list of numbers"),
        (("live", "--streams", "0"), "'0' is no list of numbers"),
        (("live", "--uri-control", "ws://127.0.0.1:9"), "belong together"),
        (("live", "--speech", "nowhere"), "no WAV files in nowhere"),
        (("capacity", "--vad", "siler"), "--vad: 'siler'"),
    ],
)
def test_mistakes_are_explained(command: tuple[str, ...], sentence: str) -> None:
    done = bench(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_not_there_ends_the_run() -> None:
    done = bench("live", "--model", "no-such-model")
    assert done.returncode == 1
    assert "no-such-model" in done.stderr
    assert "Traceback" not in done.stderr
