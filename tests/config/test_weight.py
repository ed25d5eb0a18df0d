"""Weights on disk: where, and whether complete."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from hotmic.config import weight
from hotmic.config.model import Bundled, HubRepository, LocalDirectory, ModelSource, ModelSpec, ModelType
from hotmic.errors import ConfigError

COMMIT = "b" * 40


def spec(source: ModelSource, model_type: ModelType = "faster_whisper", sha256: str = "") -> ModelSpec:
    return ModelSpec(id="m", name="M", type=model_type, source=source, languages=("en",), sha256=sha256)


def fill(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("x" * 10)
    return directory


def test_bundled_model_is_complete(tmp_path: Path) -> None:
    bundled = spec(Bundled(name="demo-en"))
    assert weight.locate(bundled, tmp_path) == weight.PACKAGE_MODELS / "demo-en"
    state = weight.disk_state(bundled, tmp_path)
    assert (state.kind, state.missing) == ("bundled", ())
    assert state.size_bytes > 1_000_000


def test_bundled_model_that_does_not_exist(tmp_path: Path) -> None:
    assert weight.locate(spec(Bundled(name="none")), tmp_path) is None
    assert weight.disk_state(spec(Bundled(name="none")), tmp_path).kind == "missing"


def test_echo_needs_nothing(tmp_path: Path) -> None:
    echo = spec(Bundled(name="echo"), "echo")
    assert weight.locate(echo, tmp_path) == weight.PACKAGE_MODELS
    assert weight.disk_state(echo, tmp_path).kind == "bundled"


@pytest.mark.parametrize(
    ("model_type", "names", "missing"),
    [
        ("faster_whisper", ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"), ()),
        ("faster_whisper", ("model.bin", "config.json", "vocabulary.json"), ("tokenizer.json",)),
        ("faster_whisper", ("model.bin", "config.json", "tokenizer.json"), ("vocabulary.json|vocabulary.txt",)),
        ("transformers", ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"), ()),
        ("transformers", ("config.json", "preprocessor_config.json", "vocab.json", "model.safetensors"), ()),
        (
            "transformers",
            ("config.json", "preprocessor_config.json", "tokenizer.json", "pytorch_model.bin"),
            ("model.safetensors",),
        ),
    ],
)
def test_local_directories(
    tmp_path: Path, model_type: ModelType, names: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    directory = fill(tmp_path / "mine", *names)
    local = spec(LocalDirectory(path=directory), model_type)
    assert weight.missing_files(directory, model_type) == missing
    assert weight.locate(local, tmp_path) == (None if missing else directory)
    assert weight.disk_state(local, tmp_path).kind == ("partly" if missing else "on disk")


def test_empty_file_counts_as_missing(tmp_path: Path) -> None:
    directory = fill(tmp_path, "config.json", "tokenizer.json", "vocabulary.json")
    (directory / "model.bin").touch()
    assert weight.missing_files(directory, "faster_whisper") == ("model.bin",)


def test_shards_of_the_index_count(tmp_path: Path) -> None:
    directory = fill(tmp_path, "config.json", "preprocessor_config.json", "tokenizer.json")
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": {"a": shards[0], "b": shards[1]}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    fill(directory, shards[0])
    assert weight.missing_files(directory, "transformers") == (shards[1],)
    fill(directory, shards[1])
    assert weight.missing_files(directory, "transformers") == ()


def test_no_pickle_is_ever_wanted() -> None:
    names = ["config.json", "pytorch_model.bin", "model.bin", "training_args.bin", "tf_model.h5", "model.pt"]
    assert weight.wanted_names(names, "transformers") == ("config.json",)
    shards = [
        "model.safetensors.index.json",
        "model-00001-of-00001.safetensors",
        "model.fp32-00001-of-00001.safetensors",
    ]
    assert weight.wanted_names(shards, "transformers") == tuple(shards[:2])
    assert weight.wanted_names([*shards, "model.safetensors"], "transformers") == ("model.safetensors",)


class TestHub:
    source = HubRepository(repository="owner/name", revision="feature/x")

    def put(self, models_dir: Path, size: int) -> Path:
        directory = models_dir / "owner--name" / COMMIT
        fill(directory, "model.bin")
        files = (weight.HubFile(name="model.bin", size=size),)
        manifest = weight.Manifest(repository="owner/name", revision="feature/x", commit=COMMIT, files=files)
        (directory / weight.MANIFEST).write_bytes(msgspec.json.encode(manifest))
        return directory

    def refer(self, models_dir: Path, commit: str = COMMIT) -> None:
        path = weight.reference_path(self.source, models_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(weight.Reference(commit=commit)))

    def test_complete(self, tmp_path: Path) -> None:
        directory = self.put(tmp_path, 10)
        self.refer(tmp_path)
        assert weight.locate(spec(self.source), tmp_path) == directory
        assert weight.disk_state(spec(self.source), tmp_path) == weight.DiskState(
            kind="on disk", size_bytes=10, total_bytes=10
        )

    def test_cut_off_file_is_not_complete(self, tmp_path: Path) -> None:
        self.put(tmp_path, 11)
        self.refer(tmp_path)
        assert weight.locate(spec(self.source), tmp_path) is None
        assert weight.disk_state(spec(self.source), tmp_path).missing == ("model.bin",)

    def test_without_reference_it_is_unfinished(self, tmp_path: Path) -> None:
        self.put(tmp_path, 30)
        assert weight.locate(spec(self.source), tmp_path) is None
        state = weight.disk_state(spec(self.source), tmp_path)
        assert (state.kind, state.size_bytes, state.total_bytes) == ("partly", 10, 30)

    def test_nothing(self, tmp_path: Path) -> None:
        assert weight.disk_state(spec(self.source), tmp_path).kind == "missing"

    @pytest.mark.parametrize("commit", ["../../../etc", "", "main"])
    def test_reference_out_of_the_directory_is_ignored(self, tmp_path: Path, commit: str) -> None:
        self.put(tmp_path, 10)
        self.refer(tmp_path, commit)
        assert weight.locate(spec(self.source), tmp_path) is None

    def test_broken_reference_is_none(self, tmp_path: Path) -> None:
        self.refer(tmp_path)
        weight.reference_path(self.source, tmp_path).write_text('{"comm')
        assert weight.locate(spec(self.source), tmp_path) is None


def test_verify(tmp_path: Path) -> None:
    directory = fill(tmp_path, "model.bin")
    right = hashlib.sha256(b"x" * 10).hexdigest()
    local = LocalDirectory(path=directory)
    weight.verify(spec(local), directory)
    weight.verify(spec(local, sha256=right), directory)
    with pytest.raises(ConfigError, match=f"has the checksum {right}"):
        weight.verify(spec(local, sha256="0" * 64), directory)
    with pytest.raises(ConfigError, match=r"no model\.safetensors"):
        weight.verify(spec(local, "transformers", sha256=right), directory)
