"""Where the weights of a model lie on disk, and whether they are all there.

Downloaded repositories are kept as ``OWNER--NAME/COMMIT/FILE`` under the models directory, each commit with a
``manifest.json`` of what belongs to it; ``OWNER--NAME/refs/REVISION.json`` says which commit a branch or tag stood for
when its download was complete. A commit directory without such a reference is a download that has not ended.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import structlog

from hotmic.config.model import Bundled, HubRepository, LocalDirectory, ModelSpec, ModelType
from hotmic.errors import ConfigError
from hotmic.values import Value

PACKAGE_MODELS = Path(__file__).resolve().parent.parent / "models"
"""Where bundled weights lie inside the package."""

MANIFEST = "manifest.json"

_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_CTRANSLATE2_REQUIRED = ("model.bin", "config.json", "tokenizer.json")
_CTRANSLATE2_FILES = (*_CTRANSLATE2_REQUIRED, *_VOCABULARIES, "preprocessor_config.json")
_TOKENIZER_FILES = (
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "normalizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_SAFETENSORS = "model.safetensors"
_SAFETENSORS_INDEX = "model.safetensors.index.json"
_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=Value)

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


class HubFile(Value, frozen=True, kw_only=True):
    """One file of a hub repository that belongs to a model."""

    name: str
    size: int
    """In bytes."""
    sha256: str = ""
    """Checksum of a large file, as the hub states it."""
    git_sha1: str = ""
    """Checksum of a small file: SHA-1 over ``blob SIZE NUL`` and the content."""
    repository: str = ""
    """The repository it comes from, when that is not the model's own."""
    commit: str = ""
    """Commit of that repository."""


class Manifest(Value, frozen=True, kw_only=True):
    """What belongs to one commit of a hub repository."""

    repository: str
    revision: str
    commit: str
    files: tuple[HubFile, ...]


class Reference(Value, frozen=True, kw_only=True):
    """Which commit a revision stood for when it was downloaded."""

    commit: str


class DiskState(Value, frozen=True, kw_only=True):
    """What is on disk of a model."""

    kind: Literal["bundled", "on disk", "partly", "missing"]
    size_bytes: int
    """Bytes on disk; for ``partly`` those already there."""
    total_bytes: int
    """Bytes of the complete model; 0 when unknown."""
    missing: tuple[str, ...] = ()
    """Names of the files that lack."""


def locate(spec: ModelSpec, models_dir: Path) -> Path | None:
    """Return the directory with the complete weights of a model, or ``None`` when something lacks.

    The echo engine has no weights: its directory is that of the bundled models. Costs a few ``stat`` calls.
    """
    directory = _directory(spec, models_dir)
    return directory if directory is not None and not missing_files(directory, spec.type) else None


def disk_state(spec: ModelSpec, models_dir: Path) -> DiskState:
    """Return how much of a model is on disk."""
    if spec.type == "echo":
        return DiskState(kind="bundled", size_bytes=0, total_bytes=0)
    directory = _directory(spec, models_dir)
    if directory is None and isinstance(spec.source, HubRepository):
        return _unfinished(spec, models_dir)
    lacking = missing_files(directory, spec.type) if directory else ("the directory",)
    size = _size(directory)
    if lacking:
        return DiskState(kind="partly" if size else "missing", size_bytes=size, total_bytes=0, missing=lacking)
    kind: Literal["bundled", "on disk"] = "bundled" if isinstance(spec.source, Bundled) else "on disk"
    return DiskState(kind=kind, size_bytes=size, total_bytes=size)


def missing_files(directory: Path, model_type: ModelType) -> tuple[str, ...]:
    """Return what an engine of this type would look for in the directory in vain; empty when it is complete."""
    if model_type == "echo":
        return ()
    if not directory.is_dir():
        return ("the directory",)
    names = {entry.name: entry.stat().st_size for entry in directory.iterdir() if entry.is_file()}
    present = {name for name, size in names.items() if size > 0}
    if not (manifest := _read_manifest(directory)):
        return missing_names(present, model_type) or _missing_shards(directory, present, model_type)
    return tuple(file.name for file in manifest.files if names.get(file.name) != file.size)


def missing_names(names: Iterable[str], model_type: ModelType) -> tuple[str, ...]:
    """Return the required files that are not among the names; ``a|b`` where either would do."""
    present = set(names)
    if model_type == "faster_whisper":
        lacking = [name for name in _CTRANSLATE2_REQUIRED if name not in present]
        return tuple(lacking if present.intersection(_VOCABULARIES) else [*lacking, "|".join(_VOCABULARIES)])
    lacking = [name for name in ("config.json", "preprocessor_config.json") if name not in present]
    if not present.intersection({_SAFETENSORS, _SAFETENSORS_INDEX}):
        lacking.append(_SAFETENSORS)
    if not present.intersection({"tokenizer.json", "vocab.json"}):
        lacking.append("tokenizer.json")
    return tuple(lacking)


def wanted_names(names: Iterable[str], model_type: ModelType) -> tuple[str, ...]:
    """Choose from the files of a repository those the model needs; pickled weights are never among them."""
    present = set(names)
    if model_type == "faster_whisper":
        return tuple(name for name in _CTRANSLATE2_FILES if name in present)
    chosen = [name for name in ("config.json", "generation_config.json", *_TOKENIZER_FILES) if name in present]
    if _SAFETENSORS in present:
        chosen.append(_SAFETENSORS)
    elif _SAFETENSORS_INDEX in present:
        chosen += [_SAFETENSORS_INDEX, *sorted(name for name in present if _SHARD.fullmatch(name))]
    return tuple(chosen)


def lent_names(names: Iterable[str], model_type: ModelType) -> tuple[str, ...]:
    """Choose from a lending repository the tokenizer and feature settings that a model of this type can use."""
    allowed = ("tokenizer.json", "preprocessor_config.json") if model_type == "faster_whisper" else _TOKENIZER_FILES
    return tuple(name for name in allowed if name in set(names))


def verify(spec: ModelSpec, directory: Path) -> None:
    """Compare the main weight file with the checksum in models.yaml. Reads the whole file.

    Raises:
        ConfigError: The checksum differs, or there is no single file it could belong to.
    """
    if not spec.sha256:
        return
    file = directory / ("model.bin" if spec.type == "faster_whisper" else _SAFETENSORS)
    if not file.is_file():
        raise ConfigError(f"{spec.id}: sha256 is set, but the model has no {file.name}.", key="sha256")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != spec.sha256:
        raise ConfigError(
            f"{spec.id}: {file.name} has the checksum {found}, models.yaml says {spec.sha256}.",
            key="sha256",
            value=spec.sha256,
            allowed=found,
        )


def repository_dir(repository: str, models_dir: Path) -> Path:
    """Return where a hub repository is kept."""
    return models_dir / repository.replace("/", "--")


def reference_path(source: HubRepository, models_dir: Path) -> Path:
    """Return the file that says which commit a completely downloaded revision stood for."""
    return repository_dir(source.repository, models_dir) / "refs" / (source.revision.replace("/", "--") + ".json")


def _directory(spec: ModelSpec, models_dir: Path) -> Path | None:
    if spec.type == "echo":
        return PACKAGE_MODELS
    match spec.source:
        case Bundled(name=name):
            return PACKAGE_MODELS / name
        case LocalDirectory(path=path):
            return path
        case HubRepository() as source:
            reference = _read(reference_path(source, models_dir), Reference)
            if reference is None or not re.fullmatch(r"[0-9a-f]{40}", reference.commit):
                return None
            return repository_dir(source.repository, models_dir) / reference.commit


def _unfinished(spec: ModelSpec, models_dir: Path) -> DiskState:
    assert isinstance(spec.source, HubRepository)
    for path in sorted(repository_dir(spec.source.repository, models_dir).glob(f"*/{MANIFEST}")):
        manifest = _read(path, Manifest)
        if manifest is not None and manifest.revision == spec.source.revision:
            return DiskState(
                kind="partly",
                size_bytes=_size(path.parent),
                total_bytes=sum(file.size for file in manifest.files),
                missing=missing_files(path.parent, spec.type),
            )
    return DiskState(kind="missing", size_bytes=0, total_bytes=0)


def _missing_shards(directory: Path, present: set[str], model_type: ModelType) -> tuple[str, ...]:
    if model_type != "transformers" or _SAFETENSORS in present:
        return ()
    try:
        index = msgspec.json.decode((directory / _SAFETENSORS_INDEX).read_bytes(), type=dict[str, msgspec.Raw])
        shards = set(msgspec.json.decode(index["weight_map"], type=dict[str, str]).values())
    except (msgspec.DecodeError, KeyError):
        return (_SAFETENSORS_INDEX,)
    return tuple(sorted(shards - present))


def _read_manifest(directory: Path) -> Manifest | None:
    return _read(directory / MANIFEST, Manifest)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        # The same as not there for the caller, who will fetch it and then be told why it cannot be written.
        _log.warning("weights cannot be read", file=str(path), reason=error.strerror)
        return None
    except msgspec.DecodeError:
        # Cut off while it was written: the same as never written, the next download writes it anew.
        return None


def _size(directory: Path | None) -> int:
    if directory is None or not directory.is_dir():
        return 0
    return sum(entry.stat().st_size for entry in directory.iterdir() if entry.is_file() and entry.name != MANIFEST)
