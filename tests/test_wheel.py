"""The wheel holds all it needs and works outside the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    (wheel,) = folder.glob("hotmic-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_the_page_the_registry_the_model_and_the_client(unpacked: Path) -> None:
    for name in (
        "hotmic/web/index.html",
        "hotmic/models.yaml",
        "hotmic/models/demo-en/model.bin",
        "hotmic/models/clips/clips.json",
        "hotmic_client.py",
        "hotmic_error.py",
        "hotmic_speech.py",
        "live_caption_client.py",
    ):
        assert (unpacked / name).is_file(), name
    assert not (unpacked / "demo_model").exists()
    assert sum(f.stat().st_size for f in (unpacked / "hotmic/models/demo-en").iterdir()) <= 8 * 2**20


def test_the_wheel_works_outside_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}

    def run(*args: str) -> str:
        command = [sys.executable, "-m", "hotmic", *args]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=env).stdout

    where = subprocess.run(
        [sys.executable, "-c", "import hotmic; print(hotmic.__file__)"],
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert where.stdout.startswith(str(unpacked))
    listed = {model["id"] for model in json.loads(run("models", "--json"))}
    assert {"demo-en", "biodatlab-medium-faster", "turbo"} <= listed
    clip = unpacked / "hotmic/models/clips/timer.wav"
    text = json.loads((clip.parent / "clips.json").read_text())["timer"]["text"]
    assert run("transcribe", str(clip)).strip() == text
