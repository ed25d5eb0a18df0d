"""Presets with which the daemon takes the place of another server: what its clients and its starters expect.

A preset is nothing but other defaults: flags, environment and YAML win over it. It never relaxes a bind or a check,
and chooses no model.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from hotmic.config.document import nearest
from hotmic.config.model import HubRepository
from hotmic.config.registry import Registry
from hotmic.errors import ConfigError, UnknownModel

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "thai_dual_socket": {"control_port": 8765, "audio_port": 8766, "vad": "seed"},
    "live_caption": {"control_port": 8765, "vad": "default"},
    "hindi2hinglish": {"http_port": 8000, "plain_text_sample_rate": 16_000, "vad": "webrtc"},
    "rnnt": {"http_port": 8000, "vad": "energy"},
    "simul": {"listeners": ("9000/ws/transcription=simul",), "vad": "silero"},
}
"""The settings of each server, by its name. Where a dialect needs no port of its own, the usual one speaks it."""

WITH_ARGUMENTS = "hindi2hinglish"
"""The server whose own arguments are taken."""
DTYPES = ("float16", "float32")
_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error"}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def preset_of(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of a preset, with what the original's environment variables say.

    Raises:
        ConfigError: No such preset, or a variable that says what it cannot.
    """
    if name not in PRESETS:
        near = nearest(name, PRESETS)
        hint = f" Did you mean {near!r}?" if near else ""
        allowed = ", ".join(PRESETS)
        message = f"--compat: there is no server {name!r}.{hint} Allowed: {allowed}."
        raise ConfigError(message, file="--compat", key="compat", value=name, allowed=allowed, nearest=near)
    settings = dict(PRESETS[name])
    for variable, (key, read) in _VARIABLES.get(name, {}).items():
        if text := environment.get(variable, "").strip():
            value = read(variable, text)
            if value is not None:
                settings[key] = value
    return settings


def arguments_of(
    name: str | None, *, port: int | None, dtype: str | None, model_id: str | None, flags: Mapping[str, object]
) -> dict[str, object]:
    """Return the flags that the original's arguments stand for; ``model_id`` is only checked here.

    Args:
        name: The preset.
        port: Its ``--port``.
        dtype: Its ``--dtype``.
        model_id: Its ``--model-id``.
        flags: Our own.

    Raises:
        ConfigError: They belong to another server, say what they cannot, or the same as a flag that is given too.
    """
    given = {"--port": ("http_port", port), "--dtype": ("compute_type", dtype), "--model-id": ("model", model_id)}
    found: dict[str, object] = {}
    for argument, (key, value) in given.items():
        if value is None:
            continue
        ours = "--" + key.replace("_", "-")
        if name != WITH_ARGUMENTS:
            raise ConfigError(f"{argument}: belongs to --compat {WITH_ARGUMENTS}; here it is {ours}.", key=key)
        if flags.get(key) is not None:
            raise ConfigError(f"{argument}: {ours} says the same; give one of them.", key=key)
        if key != "model":
            found[key] = value
    if dtype is not None and dtype not in DTYPES:
        raise _wrong("--dtype", dtype, " or ".join(DTYPES))
    return found


def model_of(registry: Registry, model_id: str) -> str:
    """Return the id of the model that the original's starters name: a key, an alias, or the hub repository of one.

    Raises:
        ConfigError: models.yaml has none; the message says how to add it.
    """
    try:
        return registry.get(model_id).id
    except UnknownModel:
        for spec in registry.specs:
            if isinstance(spec.source, HubRepository) and spec.source.repository.lower() == model_id.lower():
                return spec.id
    entry = (
        f"- {{id: NAME, name: NAME, type: transformers, source: {{hub: {model_id}, revision: main}}, languages: [hi]}}"
    )
    known = ", ".join(spec.source.repository for spec in registry.specs if isinstance(spec.source, HubRepository))
    raise ConfigError(
        f"--model-id: {registry.path} has no model {model_id!r}. To have it, add to its 'models':  {entry}",
        file="--model-id",
        key="model",
        value=model_id,
        allowed=known,
    )


def check_model(name: str, environment: Mapping[str, str], registry: Registry, *, model: str | None) -> None:
    """Refuse a model that a variable of the original names and models.yaml does not have.

    Args:
        name: The preset.
        environment: Where the original's variables may stand.
        registry: The models there are.
        model: The one that is to serve, wherever that was said.

    Raises:
        ConfigError: It names the variable.
    """
    for variable, (key, read) in _VARIABLES.get(name, {}).items():
        text = environment.get(variable, "").strip()
        if model is None or key != "model" or not text or read(variable, text) != model:
            continue
        try:
            registry.get(model)
        except UnknownModel as error:
            names = [*registry.aliases, *(spec.id for spec in registry.specs)]
            raise _wrong(variable, text, f"the names of {registry.path}: {', '.join(names)}") from error


def _text(_: str, text: str) -> str:
    return text


def _port(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise _wrong(variable, text, "a port from 0 to 65535")
    return int(text)


def _level(variable: str, text: str) -> str:
    level = _LEVELS.get(text.lower(), text.lower())
    if level not in ("debug", "info", "warning", "error"):
        raise _wrong(variable, text, "DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return level


def _dev_mode(variable: str, text: str) -> str | None:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise _wrong(variable, text, "true or false")
    return "debug" if text.lower() in _TRUE else None


def _language(variable: str, text: str) -> str | None:
    if not re.fullmatch("[a-z]{2,3}|auto", text.lower()):
        raise _wrong(variable, text, "a language code such as de, or auto")
    return None if text.lower() == "auto" else text.lower()


def _model_file(_: str, text: str) -> str:
    return PurePosixPath(text).name


def _wrong(place: str, value: str, allowed: str) -> ConfigError:
    message = f"{place}: {value[:80]!r} does not fit. Allowed: {allowed}."
    return ConfigError(message, file=place, value=value, allowed=allowed)


_VARIABLES: Mapping[str, Mapping[str, tuple[str, Callable[[str, str], object]]]] = {
    "rnnt": {
        "RNNT_SERVER_HOST": ("host", _text),
        "RNNT_SERVER_PORT": ("http_port", _port),
        "DEV_MODE": ("log_level", _dev_mode),
        "LOG_LEVEL": ("log_level", _level),
    },
    "simul": {
        "WHISPER_MODEL_PATH": ("model", _model_file),
        "WHISPER_LAN": ("language", _language),
        "WHISPER_LOG_LEVEL": ("log_level", _level),
    },
}
"""The originals' environment variables: the setting each one is, and how it is read. A later one wins."""
