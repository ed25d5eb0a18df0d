"""The child seen from its pipes."""

import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hotmic.engines import echo
from hotmic.values import SAMPLE_RATE, DecodeJob, Pause
from hotmic.worker import messages
from hotmic.worker.messages import Decode, Failed, FromChild, Heartbeat, Loaded, Progress, Results, Start, Started

pytestmark = pytest.mark.integration
SERVER = Path(__file__).parents[2] / "server"
CLIPS = SERVER / "hotmic" / "models" / "clips"
Child = subprocess.Popen[bytes]


@pytest.fixture
def child() -> Iterator[Child]:
    with subprocess.Popen(
        [sys.executable, "-m", "hotmic.worker.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(SERVER)},
    ) as process:
        yield process
        process.kill()


def audible(name: str) -> bytes:
    """Return a bundled clip without the silence around it."""
    with wave.open(str(CLIPS / f"{name}.wav")) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    (loud,) = np.nonzero(np.abs(samples.astype(int)) > 150)
    return samples[loud[0] : loud[-1]].tobytes()


def send(child: Child, *sent: messages.ToChild) -> None:
    assert child.stdin
    for message in sent:
        child.stdin.write(messages.encode_frame(message))
    child.stdin.flush()


def receive(child: Child, until: type[FromChild]) -> list[FromChild]:
    """Read messages up to the first of a type; heartbeats are left out unless asked for."""
    assert child.stdout
    seen: list[FromChild] = []
    while not seen or not isinstance(seen[-1], until):
        body = messages.read_frame(child.stdout)
        assert body is not None, "the child is gone"
        message = messages.parse_from_child(body)
        if until is Heartbeat or not isinstance(message, Heartbeat):
            seen.append(message)
    return seen


def test_the_conversation(child: Child, start: Callable[..., Start], job: Callable[..., DecodeJob]) -> None:
    send(child, start(), Decode(batch_id=7, jobs=(job(echo.chunk(3).tobytes(), "a"), job(b"x", "b"))))
    seen = receive(child, Results)
    assert [type(message) for message in seen] == [Started, Progress, Progress, Progress, Loaded, Results]
    assert isinstance(seen[0], Started)
    assert seen[0].pid == child.pid
    last = seen[-1]
    assert isinstance(last, Results)
    assert last.batch_id == 7
    assert [(r.job_id, r.text, r.error_code) for r in last.results] == [("a", "3", ""), ("b", "", "engine_failed")]


def test_a_window_with_a_pause_is_read_in_parts_where_that_is_likelier(
    child: Child, start: Callable[..., Start], job: Callable[..., DecodeJob]
) -> None:
    """Run together, the bundled model hears one digit of two that are alike."""
    first, second = (audible(name) for name in ("lights_off", "phone_number"))
    edge, silence = bytes(2 * 1600), bytes(2 * 2560)
    pause = Pause(middle=1600 + len(first) // 2 + 1280, length=2560)
    samples = edge + first + silence + second + edge
    whole, parted = job(samples, "whole"), job(samples, "parted", pauses=(pause,), word_times=True)
    send(child, start("faster_whisper"), Decode(batch_id=1, jobs=(whole, parted)))
    last = receive(child, Results)[-1]
    assert isinstance(last, Results)
    assert [result.text for result in last.results] == [
        "turn off the bedroom lamp my phone number is five two eight one six",
        "turn off the bedroom lamp my phone number is five five two eight one six",
    ]
    times = [word.start for word in last.results[1].words]
    assert times == sorted(times)
    assert len(times) == 15
    assert times[5] >= pause.middle / SAMPLE_RATE > times[4]


def test_it_ends_with_its_input(child: Child, start: Callable[..., Start]) -> None:
    send(child, start())
    receive(child, Loaded)
    assert child.stdin
    child.stdin.close()
    assert child.wait(5) == 0


def test_it_ends_with_its_input_in_the_middle_of_a_batch(
    child: Child, start: Callable[..., Start], job: Callable[..., DecodeJob]
) -> None:
    send(child, start(batch_s=60), Decode(batch_id=1, jobs=(job(),)))
    receive(child, Loaded)
    assert child.stdin
    child.stdin.close()
    assert child.wait(5) == 0


def test_it_ends_when_nobody_ever_speaks(child: Child) -> None:
    assert child.stdin
    child.stdin.close()
    assert child.wait(10) == 0


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\x01\0\0\0\xc1", b"\x09\0"])
def test_nonsense_ends_it(child: Child, start: Callable[..., Start], nonsense: bytes) -> None:
    send(child, start())
    receive(child, Loaded)
    assert child.stdin
    child.stdin.write(nonsense)
    child.stdin.close()
    child.wait(5)


def test_hearts_beat_during_a_batch(child: Child, start: Callable[..., Start], job: Callable[..., DecodeJob]) -> None:
    send(child, start(batch_s=3), Decode(batch_id=1, jobs=(job(),)))
    receive(child, Loaded)
    busy = [receive(child, Heartbeat)[-1] for _ in range(2)]
    assert all(isinstance(beat, Heartbeat) for beat in busy)
    assert busy[1].busy_s > 0.5  # type: ignore[union-attr]


def test_a_failed_load_is_told_and_ends_it(child: Child, start: Callable[..., Start]) -> None:
    send(child, start(fail_load="No weights."))
    failed = receive(child, Failed)[-1]
    assert failed == Failed(code="engine_failed", message="No weights.")
    assert child.wait(5) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signal and /proc")
def test_it_dies_with_a_parent_that_is_killed(start: Callable[..., Start], tmp_path: Path) -> None:
    frame = tmp_path / "start"
    frame.write_bytes(messages.encode_frame(start(batch_s=60)))
    # A parent that lends its own pipe's writing end to a second holder, so that only the death signal tells.
    code = (
        "import subprocess, sys, time, os\n"
        "r, w = os.pipe()\n"
        "os.set_inheritable(w, True)\n"
        "c = subprocess.Popen([sys.executable, '-m', 'hotmic.worker.child'], stdin=r, close_fds=False)\n"
        f"os.write(w, open({str(frame)!r}, 'rb').read())\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(SERVER)},
    )
    assert parent.stdout
    started = messages.parse_from_child(messages.read_frame(parent.stdout) or b"")
    while not isinstance(started, Started):
        started = messages.parse_from_child(messages.read_frame(parent.stdout) or b"")
    while not isinstance(messages.parse_from_child(messages.read_frame(parent.stdout) or b""), Loaded):
        pass
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 3
    while Path(f"/proc/{started.pid}").exists() and time.monotonic() < deadline:
        state = Path(f"/proc/{started.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "Z":
            break
    else:
        assert not Path(f"/proc/{started.pid}").exists()
    # Only now: a child whose output nobody reads would notice that.
    parent.stdout.close()
