"""Model ids that are attacks, and directories that are no models: refused, nothing opened elsewhere, nobody asked."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hotmic.engines import echo
from reliability_support import run
from running import CLIPS, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

DEMO = CLIPS.parent / "demo-en"
SECRET = "outside"
"""Name of a folder beside the models' that nothing may look into."""
REFUSALS = ("model_unavailable", "download_failed", "config_error")


def hostile_ids(outside: Path) -> list[str]:
    """Return a hundred ids that are paths, addresses, hub names, commands, templates, or text that looks alike."""
    paths = [
        *(
            f"{up}{SECRET}"
            for up in ("../", "../../", "./", "..\\", "....//", "%2e%2e/", "%252e%252e%252f", "~/", "/", "//")
        ),
        *(f"{outside}{end}" for end in ("", "/", "/model.bin", "/../outside", "%00", "\x00.bin", "?x", "#x")),
        *("/etc/passwd", "../../etc/passwd", "/proc/self/environ", "/dev/stdin", "/dev/zero", "C:\\Windows\\win.ini"),
        *("\\\\192.0.2.1\\share", ".", "..", "...", "echo/../echo", "echo/", "/echo", "./echo", "echo\\..\\echo"),
    ]
    addresses = [
        f"{scheme}192.0.2.1/model"
        for scheme in (
            "http://",
            "https://",
            "file:///",
            "ftp://",
            "s3://",
            "hf://",
            "git+https://",
            "//",
            "data:,",
            "gs://",
        )
    ]
    hubs = ["openai/whisper-tiny", "Systran/faster-whisper-tiny", "owner/name@main", "models--owner--name", "a/b/c"]
    commands = [
        "$(id)",
        "`id`",
        "echo;id",
        "echo|id",
        "echo&id",
        "echo\nid",
        "${HOME}",
        "{{7*7}}",
        "{0}",
        "%s%n",
        "!ruby",
        "!!python/object:os",
    ]
    codes = [
        "__class__",
        "echo.__init__",
        "os.system",
        "'; drop table models; --",
        "<script>",
        "*",
        "ech?",
        "[e]cho",
        "echo*",
        "null",
        "None",
        "true",
    ]
    alike = [
        "Echo",
        "ECHO",
        "еcho",
        "ｅｃｈｏ",
        "ech\u200bo",
        "echo\u202e",
        "echo ",
        " echo",
        "echo\t",
        "echo\n",
        "echo\x00",
        "\ufeffecho",
    ]
    shapes = [
        "",
        " ",
        "\x00",
        "-echo",
        "--model",
        ".echo",
        "_echo",
        "e" * 65,
        "e" * 2000,
        "é" * 64,
        "💥",
        "\u0000" * 64,
    ]
    lone = ["\\ud800", "con", "nul", "aux.bin", "echo:stream"]
    return [*paths, *addresses, *hubs, *commands, *codes, *alike, *shapes, *lone]


def files(*names: str) -> Callable[[Path], None]:
    """Return what copies files of the bundled model."""

    def make(folder: Path) -> None:
        for name in names:
            shutil.copy(DEMO / name, folder)

    return make


ALL = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")


def spoiled(name: str, content: bytes) -> Callable[[Path], None]:
    """Return what copies the bundled model and overwrites a file."""

    def make(folder: Path) -> None:
        files(*ALL)(folder)
        (folder / name).write_bytes(content)

    return make


def pipe(name: str) -> Callable[[Path], None]:
    """Return what puts a pipe in a file's place: who opens it waits for ever."""

    def make(folder: Path) -> None:
        files(*(other for other in ALL if other != name))(folder)
        os.mkfifo(folder / name)

    return make


def folder_as_weights(folder: Path) -> None:
    files(*(name for name in ALL if name != "model.bin"))(folder)
    (folder / "model.bin").mkdir()


def manifest_leads_out(folder: Path) -> None:
    files(*ALL)(folder)
    names = [f"../../{SECRET}/model.bin", str(folder.parents[1] / SECRET / "model.bin")]
    listed = [{"name": name, "size": 6} for name in names]
    body = {"repository": "owner/name", "revision": "main", "commit": "b" * 40, "files": listed}
    (folder / "manifest.json").write_text(json.dumps(body))


def transformers(folder: Path, **config: object) -> None:
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"} | config))


def pickled(folder: Path) -> None:
    transformers(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")


def index_leads_out(folder: Path) -> None:
    transformers(folder)
    index = {"weight_map": {"a": f"../../{SECRET}/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def own_code(folder: Path) -> None:
    transformers(folder, auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}, model_type="evil")
    (folder / "evil.py").write_text(f"open({str(folder.parents[1] / SECRET / 'was_run')!r}, 'w')\n")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")


def endless_header(folder: Path) -> None:
    transformers(folder)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


DIRECTORIES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "empty": ("faster_whisper", files()),
    "no-weights": ("faster_whisper", files("config.json", "tokenizer.json", "vocabulary.json")),
    "no-vocabulary": ("faster_whisper", files("config.json", "tokenizer.json", "model.bin")),
    "random-weights": ("faster_whisper", spoiled("model.bin", bytes(range(256)) * 400)),
    "cut-weights": ("faster_whisper", spoiled("model.bin", (DEMO / "model.bin").read_bytes()[:500_000])),
    "empty-weights": ("faster_whisper", spoiled("model.bin", b"")),
    "weights-are-a-folder": ("faster_whisper", folder_as_weights),
    "weights-are-a-pipe": ("faster_whisper", pipe("model.bin")),
    "tokenizer-is-a-pipe": ("faster_whisper", pipe("tokenizer.json")),
    "tokenizer-is-no-json": ("faster_whisper", spoiled("tokenizer.json", b"{")),
    "tokenizer-is-nested": ("faster_whisper", spoiled("tokenizer.json", b"[" * 100_000)),
    "config-is-no-json": ("faster_whisper", spoiled("config.json", b"\x00\xff")),
    "manifest-leads-out": ("faster_whisper", manifest_leads_out),
    "pickled": ("transformers", pickled),
    "index-leads-out": ("transformers", index_leads_out),
    "own-code": ("transformers", own_code),
    "endless-header": ("transformers", endless_header),
}


def registry(folder: Path) -> str:
    lines = ["default: echo", "models:", "  - {id: echo, name: Echo, type: echo, languages: [en]}"]
    for name, (kind, make) in DIRECTORIES.items():
        directory = folder / "models" / name
        directory.mkdir(parents=True)
        make(directory)
        lines.append(f"  - {{id: {name}, name: {name}, type: {kind}, source: {{local: {directory}}}, languages: [en]}}")
    path = folder / "models.yaml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def outside_of(folder: Path) -> Path:
    outside = folder / SECRET
    outside.mkdir()
    for name in ("model.bin", "model.safetensors"):
        (outside / name).write_text("secret")
    return outside


async def load(daemon: RunningDaemon, ids: list[str]) -> dict[str, str]:
    """Ask for each model; return the codes of the errors."""
    codes: dict[str, str] = {}
    async with calling(daemon.control) as control:
        for number, model_id in enumerate(ids):
            await control.say(type="load_model", model_id=model_id, request_id=number)
            answer = await control.hear("error", request_id=number, limit=120)
            codes[model_id] = answer["code"]
            assert not any(m["type"] == "model_loaded" for m in control.heard)
        await control.say(type="get_status")
        assert (await control.hear("status"))["current_model"] == "echo"
    return codes


async def still_serves(daemon: RunningDaemon) -> bool:
    async with calling(daemon.audio) as audio:
        await audio.say(type="configure")
        await audio.socket.send(echo.speech(20).tobytes())
        await audio.say(type="audio_end")
        final = await audio.hear("final_transcription")
    return [int(number) for number in final["text"].split()] == list(range(20))


def test_hostile_ids(tmp_path: Path) -> None:
    outside, opens = outside_of(tmp_path), tmp_path / "opens"
    ids = hostile_ids(outside)
    assert len(set(ids)) >= 100
    env = {"OUTBOUND_OPENS": str(opens), "HOTMIC_MAX_COMMANDS_PER_S": "100000"}
    with running_daemon(tmp_path, "--models", registry(tmp_path), "--vad", "seed", env=env) as daemon:
        before = len(opens.read_text().splitlines())
        codes = run(load(daemon, ids))
        opened = opens.read_text().splitlines()[before:]
        assert run(still_serves(daemon))
    assert set(codes.values()) <= {"unknown_model", "bad_field"}
    assert [path for path in opened if not path.endswith((".py", ".pyc", "models.yaml"))] == []


def test_hostile_directories(tmp_path: Path) -> None:
    outside, opens = outside_of(tmp_path), tmp_path / "opens"
    env = {"OUTBOUND_OPENS": str(opens), "HF_HUB_OFFLINE": "0"}
    with running_daemon(tmp_path, "--models", registry(tmp_path), "--vad", "seed", env=env) as daemon:
        codes = run(load(daemon, list(DIRECTORIES)))
        assert run(still_serves(daemon))
    assert {name: code for name, code in codes.items() if code not in REFUSALS} == {}
    opened = [Path(path).resolve() for path in opens.read_text().splitlines()]
    assert any(path.is_relative_to(tmp_path / "models") for path in opened), "the watch saw nothing"
    assert [path for path in opened if path.is_relative_to(outside)] == []
    assert sorted(path.name for path in outside.iterdir()) == ["model.bin", "model.safetensors"]
