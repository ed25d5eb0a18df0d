"""The commands as people run them."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from running import CLIPS, running_daemon

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TEXTS = {name: clip["text"] for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}


def run(*command: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=cwd)


def test_demo_shows_partials_turning_into_finals() -> None:
    done = run("-m", "hotmic", "demo", "--clip", "order_latte")
    assert done.returncode == 0, done.stderr
    assert f"✔ {TEXTS['order_latte']}" in done.stdout
    partials = [line for line in done.stdout.splitlines() if line.startswith("…")]
    assert len(partials) >= 3
    assert "hotmic serve --model small" in " ".join(done.stdout.split())


def test_an_unknown_clip_is_a_usage_error() -> None:
    assert run("-m", "hotmic", "demo", "--clip", "nope").returncode == 2


@pytest.mark.parametrize("container", ["mp3", "ogg", "mp4"])
def test_transcribe_takes_any_container(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"clip.{container}"
    codec = {"mp3": "mp3", "ogg": "libopus", "mp4": "aac"}[container]
    with av.open(str(CLIPS / "timer.wav")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=48_000, layout="mono")
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48_000)
        for frame in source.decode(audio=0):
            for out in resampler.resample(frame):
                target.mux(stream.encode(out))
        for out in resampler.resample(None):
            target.mux(stream.encode(out))
        target.mux(stream.encode(None))
    done = run("-m", "hotmic", "transcribe", str(path))
    assert (done.returncode, done.stdout.strip()) == (0, TEXTS["timer"]), done.stderr


def test_transcribe_writes_every_format(tmp_path: Path) -> None:
    clip = str(CLIPS / "three_sentences.wav")
    outputs = {
        name: run("-m", "hotmic", "transcribe", clip, "-f", name).stdout for name in ("txt", "srt", "vtt", "json")
    }
    assert " ".join(outputs["txt"].split()) == TEXTS["three_sentences"]
    assert outputs["srt"].startswith("1\n00:00:00,")
    assert outputs["vtt"].startswith("WEBVTT\n\n00:00:00.")
    body = json.loads(outputs["json"])
    assert (body["model"], body["text"]) == ("demo-en", TEXTS["three_sentences"])
    words = [word for segment in body["segments"] for word in segment["words"]]
    assert [word["word"] for word in words] == TEXTS["three_sentences"].split()
    assert all(a["start"] <= a["end"] <= b["end"] for a, b in itertools.pairwise(words))


def test_transcribe_tells_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(b"not audio at all")
    done = run("-m", "hotmic", "transcribe", str(tmp_path / "noise.mp3"), str(CLIPS / "timer.wav"))
    assert done.returncode == 1
    assert "noise.mp3" in done.stderr
    assert TEXTS["timer"] in done.stdout, "the other file is transcribed all the same"


def test_the_terminal_client_prints_the_right_text(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        client = str(ROOT / "clients" / "realtime_client.py")
        uris = ("--uri-control", daemon.control, "--uri-audio", daemon.audio)
        done = run(client, "--file", str(CLIPS / "order_latte.wav"), *uris, cwd=tmp_path)
        assert (done.returncode, done.stdout.strip()) == (0, TEXTS["order_latte"]), done.stderr
        assert "hotmic serve --model small" in done.stderr
        lines = run(client, "--file", str(CLIPS / "timer.wav"), "--json", "--speed", "2", *uris).stdout.splitlines()
        kinds = [json.loads(line)["type"] for line in lines]
        assert kinds.index("realtime_transcription") < kinds.index("final_transcription")
        assert "demo-en" in run(client, "--list-models", *uris).stdout
        assert run(client, "--list-models", "--model", "nope", *uris).returncode == 0
        wrong = run(client, "--file", str(CLIPS / "timer.wav"), "--model", "nope", *uris)
        assert (wrong.returncode, "unknown_model" in wrong.stderr) == (1, True)
        assert run(client, "--file", str(ROOT / "LICENSE"), *uris).returncode == 2
    gone = run(client, "--list-models", *uris)
    assert (gone.returncode, "unreachable" in gone.stderr) == (1, True)


def test_two_clients_in_one_channel_print_their_own_words(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        client = str(ROOT / "clients" / "realtime_client.py")
        uris = ("--uri-control", daemon.control, "--uri-audio", daemon.audio)
        names = ("timer", "three_sentences")
        both = [
            subprocess.Popen(
                [sys.executable, client, "--file", str(CLIPS / f"{name}.wav"), *uris], stdout=subprocess.PIPE, text=True
            )
            for name in names
        ]
        for name, process in zip(names, both, strict=True):
            output, _ = process.communicate(timeout=120)
            assert " ".join(output.split()) == TEXTS[name]


def test_a_wrong_setting_names_its_place(tmp_path: Path) -> None:
    config = tmp_path / "hotmic.yaml"
    config.write_text("host: 127.0.0.1\nmin_silense_ms: 300\n")
    done = run("-m", "hotmic", "serve", "--config", str(config))
    assert done.returncode == 2
    assert f"{config}:2" in done.stderr
    assert "min_silence_ms" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        port = daemon.control.rpartition(":")[2]
        done = run("-m", "hotmic", "serve", "--control-port", port, "--audio-port", "0", "--http-port", "0")
        assert done.returncode == 2
        assert f"control_port: cannot listen on 127.0.0.1:{port}" in done.stderr


def test_an_unknown_model_or_language_is_one_sentence(tmp_path: Path) -> None:
    for flags, sentence in (
        (("--model", "demo-ne"), "Did you mean 'demo-en'?"),
        (("--language", "xx"), "demo-en does not know 'xx', only en."),
    ):
        done = run("-m", "hotmic", "serve", *flags, "--control-port", "0", "--audio-port", "0", "--http-port", "0")
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_subtitles_of_several_files_need_a_folder(tmp_path: Path) -> None:
    both = [str(CLIPS / f"{name}.wav") for name in ("timer", "three_sentences")]
    done = run("-m", "hotmic", "transcribe", *both, "-f", "srt")
    assert done.returncode == 2
    assert "--output" in done.stderr
    assert run("-m", "hotmic", "transcribe", *both, "-f", "srt", "-o", str(tmp_path)).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three_sentences.srt", "timer.srt"]
    (tmp_path / "nothing.wav").touch()
    assert "The file is empty." in run("-m", "hotmic", "transcribe", str(tmp_path / "nothing.wav")).stderr


def test_the_snippet_of_the_readme_prints_what_is_said(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    snippet = readme.partition("```python\n")[2].partition("```")[0]
    assert "ws://localhost:8766" in snippet
    with running_daemon(tmp_path) as daemon:
        (tmp_path / "snippet.py").write_text(snippet.replace("ws://localhost:8766", daemon.audio), "utf-8")
        done = run(str(tmp_path / "snippet.py"), str(CLIPS / "three_sentences.wav"))
    assert done.stderr == ""
    assert " ".join(done.stdout.split()) == TEXTS["three_sentences"]


def test_the_same_program_under_three_names() -> None:
    names = (["-m", "hotmic", "--version"], [str(ROOT / "server"), "--version"])
    assert len({run(*name).stdout for name in names}) == 1
    script = Path(sys.executable).parent / "hotmic"
    assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout.startswith("hotmic ")


def test_a_worker_ends_with_a_killed_daemon(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        tasks = Path(f"/proc/{daemon.process.pid}/task")
        workers = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
        assert workers
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
        deadline = time.monotonic() + 20
        while any(_lives(pid) for pid in workers):
            assert time.monotonic() < deadline, "a worker outlived its daemon"
            time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("--compat", "hindi2hinglsh"), "Did you mean 'hindi2hinglish'"),
        (("--port", "8001"), "--port: belongs to --compat hindi2hinglish; here it is --http-port."),
        (("--compat", "hindi2hinglish", "--model-id", "a/b"), "has no model 'a/b'. To have it, add"),
        (("--compat", "simul", "--model", "none.pt"), "There is no model 'none.pt'"),
    ],
)
def test_a_preset_that_does_not_fit_is_told(command: tuple[str, ...], why: str) -> None:
    done = run("-m", "hotmic", "serve", *command)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variable_of_the_original_that_names_no_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_MODEL_PATH", "models/none.pt")
    done = run("-m", "hotmic", "serve", "--compat", "simul")
    assert done.returncode == 2
    assert done.stderr.startswith("hotmic: WHISPER_MODEL_PATH: 'models/none.pt' does not fit.")
