"""The models there are: models.yaml as checked values.

A file looks like this; every key but ``id name type source languages`` may be left out:

```yaml
default: tiny
aliases: {tiny.pt: tiny}
models:
  - id: tiny
    name: Whisper tiny
    type: faster_whisper
    source: {hub: owner/name, revision: main}     # or {local: directory}, or {bundled: name}
    languages: [multilingual]
```
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from hotmic.config.document import Field, load, nearest
from hotmic.config.edit import EditedFile
from hotmic.config.model import (
    MODEL_ID_PATTERN,
    Bundled,
    ComputeType,
    Guards,
    HubRepository,
    LocalDirectory,
    ModelSource,
    ModelSpec,
    ModelType,
    PerformanceTier,
)
from hotmic.errors import ConfigError, UnknownModel
from hotmic.values import PolicyName

_ID_ALLOWED = "1 to 64 of a-z 0-9 . _ -, a letter or digit first"
_REPOSITORY = r"(?!.*(--|\.\.))[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REVISION = r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,127}"
_LANGUAGE = r"multilingual|[a-z]{2,8}(-[A-Za-z0-9]{2,8})*"
_REQUIRED = ("id", "name", "type", "source", "languages")


@dataclass(frozen=True)
class Registry:
    """All models of one models.yaml, in file order."""

    path: Path
    specs: tuple[ModelSpec, ...]
    default: str
    aliases: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> "Registry":
        """Read and check a models.yaml.

        Raises:
            ConfigError: It cannot be used; the message names file, line, column, key, value and what is allowed.
        """
        document = load(path)
        if document is None:
            raise ConfigError(
                f"{path}:1:1: the file is empty. Allowed: the keys default, aliases, models.",
                file=str(path),
                line=1,
                column=1,
                allowed="default, aliases, models",
            )
        fields = document.fields(("default", "aliases", "models"), required=("default", "models"))
        specs = _parse_models(fields["models"], path.parent)
        ids = [spec.id for spec in specs]
        default = _reference(fields["default"], ids)
        aliases: dict[str, str] = {}
        if "aliases" in fields:
            for alias, target in fields["aliases"].fields().items():
                if alias in ids:
                    raise target.error("is the id of a model", allowed="an alias that is no id")
                if not re.fullmatch(MODEL_ID_PATTERN, alias):
                    raise target.error("is no alias", allowed=_ID_ALLOWED)
                aliases[alias] = _reference(target, ids)
        return cls(path=path, specs=specs, default=default, aliases=MappingProxyType(aliases))

    def get(self, model_id: str) -> ModelSpec:
        """Return the model with this id or alias.

        Raises:
            UnknownModel: There is none; the message names the nearest id.
        """
        wanted = self.aliases.get(model_id, model_id)
        for spec in self.specs:
            if spec.id == wanted:
                return spec
        if not re.fullmatch(MODEL_ID_PATTERN, model_id):
            raise UnknownModel("That is not a model id; ask for the list of models.")
        near = nearest(model_id, [spec.id for spec in self.specs] + list(self.aliases))
        hint = f" Did you mean {near!r}?" if near else " Ask for the list of models."
        raise UnknownModel(f"There is no model {model_id!r}.{hint}")


def _parse_models(field: Field, folder: Path) -> tuple[ModelSpec, ...]:
    specs: list[ModelSpec] = []
    lines: dict[str, int] = {}
    for item in field.items():
        spec = _parse_model(item, folder)
        line = item.node.start_mark.line + 1
        if spec.id in lines:
            raise item.fields()["id"].error(
                f"{spec.id!r} stands here a second time (first in line {lines[spec.id]})", allowed="an id of its own"
            )
        lines[spec.id] = line
        specs.append(spec)
    if not specs:
        raise field.error("is an empty list", allowed="at least one model")
    return tuple(specs)


def _parse_model(field: Field, folder: Path) -> ModelSpec:
    fields = field.fields(ModelSpec.__struct_fields__, required=_required(field))
    model_type: ModelType = fields["type"].choice(get_args(ModelType))  # type: ignore[assignment]
    model_id = fields["id"].text(pattern=MODEL_ID_PATTERN, allowed=_ID_ALLOWED)
    read: dict[str, object] = {
        "id": model_id,
        "name": fields["name"].text(),
        "type": model_type,
        "source": _parse_source(fields["source"], folder) if "source" in fields else Bundled(name=model_type),
        "languages": _parse_languages(fields["languages"]),
    }
    readers = {
        "description": lambda item: item.text(pattern=".*"),
        "performance_tier": lambda item: item.choice(get_args(PerformanceTier)),
        "recommended": lambda item: item.flag(),
        "compute_type": lambda item: item.choice(get_args(ComputeType)),
        "min_window_s": lambda item: float(item.number(0.5, 30)),
        "max_window_s": lambda item: float(item.number(1, 30)),
        "pause_after_s": lambda item: float(item.number(0.5, 30)),
        "no_speech_threshold": lambda item: float(item.number(0, 1)),
        "guards": _parse_guards,
        "beam": lambda item: item.integer(1, 20),
        "policy": lambda item: item.choice(get_args(PolicyName)),
        "agreement_n": lambda item: item.integer(1, 5),
        "attention_margin_s": lambda item: float(item.number(0.1, 2)),
        "vram_gb": lambda item: float(item.number(0, 1000)),
        "sha256": lambda item: item.text(pattern="[0-9a-fA-F]{64}", allowed="64 hexadecimal digits").lower(),
        "tokenizer": _parse_hub,
        "options": _parse_options,
        "notice": lambda item: item.text(),
        "phrases": _parse_phrases,
    }
    read |= {key: reader(fields[key]) for key, reader in readers.items() if key in fields}
    spec = ModelSpec(**read)  # type: ignore[arg-type]
    if spec.min_window_s > spec.max_window_s:
        key = "min_window_s" if "min_window_s" in fields else "max_window_s"
        raise fields[key].error(
            f"the shortest window ({spec.min_window_s:g} s) is longer than the longest ({spec.max_window_s:g} s)",
            allowed="min_window_s <= max_window_s",
        )
    return spec


def _required(field: Field) -> tuple[str, ...]:
    # The echo engine has no weights, hence no source.
    kind = field.fields().get("type")
    has_weights = kind is None or kind.choice(get_args(ModelType)) != "echo"
    return tuple(key for key in _REQUIRED if key != "source" or has_weights)


def _parse_source(field: Field, folder: Path) -> ModelSource:
    fields = field.fields(("bundled", "local", "hub", "revision"))
    kinds = [kind for kind in ("bundled", "local", "hub") if kind in fields]
    if len(kinds) != 1 or ("revision" in fields and "hub" not in fields):
        raise field.error(
            "does not say where the weights are",
            allowed="one of {bundled: NAME}, {local: DIRECTORY}, {hub: OWNER/NAME, revision: REVISION}",
        )
    if "bundled" in fields:
        return Bundled(name=fields["bundled"].text(pattern=MODEL_ID_PATTERN, allowed=_ID_ALLOWED))
    if "local" in fields:
        return LocalDirectory(path=folder.absolute() / Path(fields["local"].text(allowed="a directory")).expanduser())
    return _parse_hub(field)


def _parse_hub(field: Field) -> HubRepository:
    fields = field.fields(("hub", "revision"), required=("hub",))
    repository = fields["hub"].text(pattern=_REPOSITORY, allowed="OWNER/NAME as the hub writes it")
    if "revision" not in fields:
        return HubRepository(repository=repository)
    revision = fields["revision"].text(pattern=_REVISION, allowed="a branch, tag or commit")
    return HubRepository(repository=repository, revision=revision)


def _parse_languages(field: Field) -> tuple[str, ...]:
    allowed = "a list of language codes such as en, th, or multilingual"
    languages = tuple(item.text(pattern=_LANGUAGE, allowed=allowed) for item in field.items())
    if not languages:
        raise field.error("is an empty list", allowed=allowed)
    return languages


def _parse_phrases(field: Field) -> tuple[str, ...]:
    return tuple(phrase.text() for phrase in field.items())


def _parse_guards(field: Field) -> Guards:
    return Guards(**{name: switch.flag() for name, switch in field.fields(Guards.__struct_fields__).items()})


def _parse_options(field: Field) -> dict[str, float | int | str]:
    options: dict[str, float | int | str] = {}
    for key, item in field.fields().items():
        value = item.scalar()
        if value is None:
            raise item.error("is empty", allowed="a text or number")
        options[key] = value
    return options


def _reference(field: Field, ids: list[str]) -> str:
    value = field.text(allowed="the id of a model")
    if value not in ids:
        raise field.error(f"there is no model {value!r}", allowed=", ".join(ids), near=nearest(value, ids))
    return value


class RegistryFile(EditedFile[Registry]):
    """Watch one models.yaml while the daemon runs.

    Args:
        path: The file.
        registry: What was read from it at the start.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        super().__init__(path, registry, Registry.load)
