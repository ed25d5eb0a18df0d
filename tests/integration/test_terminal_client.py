"""The terminal client's microphone, with a sound library that plays a recording; and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import CLIPS, RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

CLIENT = Path(__file__).parents[2] / "clients" / "realtime_client.py"
CLIP = CLIPS / "order_latte.wav"
TEXT = str(json.loads((CLIPS / "clips.json").read_text())["order_latte"]["text"])

# The functions of sounddevice that the client uses. The device can only do its own rate, as many can.
FAKE_SOUNDDEVICE = """
import os, threading, time, wave

OWN_RATE = 48_000


class PortAudioError(Exception):
    pass


def query_devices(device=None, kind=None):
    if device not in (None, 0, "fake"):
        raise ValueError(f"No input device matching {device!r}")
    return {"name": "fake", "default_samplerate": float(OWN_RATE)}


def check_input_settings(*, device, samplerate, channels, dtype):
    if query_devices(device)["default_samplerate"] != samplerate:
        raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")


class RawInputStream:
    def __init__(self, *, samplerate, blocksize, channels, dtype, device, callback):
        check_input_settings(device=device, samplerate=samplerate, channels=channels, dtype=dtype)
        with wave.open(os.environ["FAKE_MICROPHONE"]) as file:
            samples = memoryview(file.readframes(file.getnframes())).cast("h")
            times = OWN_RATE // file.getframerate()
        pcm = b"".join(sample.to_bytes(2, "little", signed=True) * times for sample in samples)
        self.blocks = [pcm[i : i + 2 * blocksize] for i in range(0, len(pcm), 2 * blocksize)]
        self.seconds, self.callback, self.ended = blocksize / samplerate, callback, threading.Event()
        self.thread = threading.Thread(target=self.play)

    def play(self):
        for block in self.blocks:
            self.callback(block, len(block) // 2, None, None)
            if self.ended.wait(self.seconds):
                return

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture
def microphone(tmp_path: Path) -> dict[str, str]:
    """The environment in which ``sounddevice`` is the stand-in."""
    (tmp_path / "sounddevice.py").write_text(FAKE_SOUNDDEVICE)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "FAKE_MICROPHONE": str(CLIP)}


def start(daemon: RunningDaemon, *args: str, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    uris = ("--uri-control", daemon.control, "--uri-audio", daemon.audio)
    command = [sys.executable, str(CLIENT), *args, *uris, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    """Read events until a partial contains a text."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "realtime_transcription" and text in event["text"]:
            return
    raise AssertionError(f"'{text}' was not heard: {process.communicate()[1]}")


def test_the_microphone_is_heard_until_ctrl_c(daemon: RunningDaemon, microphone: dict[str, str]) -> None:
    process = start(daemon, "--mic", "fake", env=microphone)
    wait_for(process, "almond")
    process.send_signal(signal.SIGINT)
    output, complaint = process.communicate(timeout=30)
    events = [json.loads(line) for line in output.splitlines()]
    finals = [event["text"] for event in events if event["type"] == "final_transcription"]
    assert (process.returncode, len(finals)) == (0, 1), complaint
    assert TEXT.startswith(finals[0])
    assert "almond" in finals[0]
    assert events[-1]["type"] == "recording_stopped"


def test_a_microphone_that_is_not_there(daemon: RunningDaemon, microphone: dict[str, str]) -> None:
    process = start(daemon, "--mic", "other", env=microphone)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "--list-devices" in complaint
    assert "Traceback" not in complaint


def test_a_missing_sound_library_is_named(daemon: RunningDaemon, microphone: dict[str, str], tmp_path: Path) -> None:
    for wrong, word in (("raise ImportError", "pip install sounddevice"), ("raise OSError", "libportaudio2")):
        (tmp_path / "sounddevice.py").write_text(wrong)
        for args in (("--list-devices",), ("--mic",)):
            process = start(daemon, *args, env=microphone)
            _, complaint = process.communicate(timeout=30)
            assert (process.returncode, word in complaint) == (2, True), complaint


def test_ctrl_c_ends_a_file(daemon: RunningDaemon) -> None:
    process = start(daemon, "--file", str(CLIP))
    wait_for(process, "can")
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in complaint
