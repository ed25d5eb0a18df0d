"""Look for everything that would keep the daemon from starting or serving well."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hotmic.config import hub, machine, weight
from hotmic.config.finding import Finding
from hotmic.config.machine import Machine
from hotmic.config.model import HubRepository, ModelSpec
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings, load_settings, unknown_variables
from hotmic.config.token_file import load
from hotmic.errors import ConfigError, UnknownModel

_SLOW_TIERS = ("balanced", "accurate")
_SLOW_CORES = 8
_MEMORY_BESIDE_MODEL_GB = 0.5


def find_all(config: Path | None = None, *, here: Machine | None = None, **flags: object) -> list[Finding]:
    """Look at the machine, the settings, the registry and the model, in this order.

    Args:
        config: The YAML file of ``--config``.
        here: The machine to judge; by default this one.
        flags: Settings that win over file and environment.
    """
    here = here or Machine.look()
    findings = [machine.check_python(here), *machine.check_packages(here), *check_environment(os.environ)]
    try:
        settings = load_settings(config, preset=None, **flags)
    except ConfigError as error:
        mend = "Correct it; docs/settings.md lists all settings."
        return [*findings, Finding(subject="settings", severity="error", sentence=error.message, mend=mend)]
    findings += [
        Finding(subject="settings", severity="good", sentence="All settings fit."),
        *check_exposure(settings),
        *machine.check_ports(settings),
        *machine.check_directories(settings),
        machine.check_limits(settings, here),
        machine.check_cuda(settings, here),
    ]
    try:
        registry = Registry.load(settings.registry_path())
    except ConfigError as error:
        mend = "Correct it; the head of the models.yaml that comes with hotmic explains the keys."
        return [*findings, Finding(subject="models", severity="error", sentence=error.message, mend=mend)]
    return [*findings, *check_models(settings, registry, here)]


def check_environment(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Point out ``HOTMIC_*`` variables that mean nothing."""
    for error in unknown_variables(environment):
        mend = "Correct or remove it."
        yield Finding(subject="environment", severity="warning", sentence=error.message, mend=mend)


def check_exposure(settings: Settings) -> Iterator[Finding]:
    """Judge who can reach the daemon and with what."""
    if settings.tokens and not settings.tokens.is_file():
        mend = "Make the file, or correct the setting tokens."
        sentence = f"The token file {settings.tokens} does not exist."
        yield Finding(subject="tokens", severity="error", sentence=sentence, mend=mend)
    elif settings.tokens:
        yield from _check_tokens(settings.tokens)
    if settings.is_loopback:
        yield Finding(subject="host", severity="good", sentence="Only this machine can connect.")
    elif settings.auth == "none":
        sentence = f"Everyone who reaches {settings.host} may listen and speak (auth: none)."
        mend = "Set tokens and remove auth: none, unless that is what you want."
        yield Finding(subject="host", severity="warning", sentence=sentence, mend=mend)
    elif not settings.tokens:
        sentence = f"{settings.host} can be reached from other machines, and there are no tokens."
        mend = "Set tokens, or host to 127.0.0.1, or write auth: none."
        yield Finding(subject="host", severity="error", sentence=sentence, mend=mend)


def _check_tokens(path: Path) -> Iterator[Finding]:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        sentence = f"Other users of this machine can read the tokens file {path}."
        yield Finding(subject="tokens", severity="warning", sentence=sentence, mend=f"Run: chmod 600 {path}")
    try:
        found = load(path)
    except ConfigError as error:
        mend = "Correct it, or make one with: hotmic token add."
        yield Finding(subject="tokens", severity="error", sentence=error.message, mend=mend)
        return
    if found.is_plain:
        sentence = f"{path} holds tokens that can be read."
        mend = f"Run: hotmic token add NAME --file {path}, which makes digests of all of them."
        yield Finding(subject="tokens", severity="warning", sentence=sentence, mend=mend)


def check_models(settings: Settings, registry: Registry, here: Machine) -> Iterator[Finding]:
    """Judge the model that would be served."""
    subject = f"model {settings.model or registry.default}"
    try:
        spec = registry.get(settings.model or registry.default)
    except UnknownModel as error:
        mend = f"Choose one of {', '.join(spec.id for spec in registry.specs)}."
        yield Finding(subject=subject, severity="error", sentence=error.message, mend=mend)
        return
    yield from _check_weights(settings, spec, subject)
    if spec.type == "transformers" and not {"torch", "transformers"} <= here.modules:
        sentence = f"{spec.id} needs PyTorch and transformers, which are not installed."
        mend = 'Run: pip install "hotmic[transformers]"'
        yield Finding(subject=subject, severity="error", sentence=sentence, mend=mend)
    if settings.language and spec.languages != ("multilingual",) and settings.language not in spec.languages:
        sentence = f"{spec.id} knows {', '.join(spec.languages)}, language is set to {settings.language}."
        mend = "Choose another model, or remove the setting language."
        yield Finding(subject="language", severity="warning", sentence=sentence, mend=mend)
    if settings.device == "cpu" or (settings.device == "auto" and "cuda" not in here.libraries):
        yield from _check_strength(spec, here, subject)


def _check_weights(settings: Settings, spec: ModelSpec, subject: str) -> Iterator[Finding]:
    state = weight.disk_state(spec, settings.models_dir)
    directory = weight.locate(spec, settings.models_dir)
    if directory:
        try:
            weight.verify(spec, directory)
        except ConfigError as error:
            mend = f"Delete {directory} and run: hotmic pull {spec.id}, or correct sha256."
            yield Finding(subject=subject, severity="error", sentence=error.message, mend=mend)
            return
        sentence = f"{spec.id} is {state.kind} ({state.size_bytes / 1e6:.0f} MB)."
        yield Finding(subject=subject, severity="good", sentence=sentence)
        return
    lacking = re.sub(r"\|", " or ", ", ".join(state.missing))
    sentence = f"The weights of {spec.id} are not all on this machine" + (f": {lacking} lacks." if lacking else ".")
    if not isinstance(spec.source, HubRepository):
        mend = "Put the files there, or correct source in models.yaml."
        yield Finding(subject=subject, severity="error", sentence=sentence, mend=mend)
    elif settings.download == "never" or hub.is_offline():
        mend = f"Run: hotmic pull {spec.id} on a machine with a network, or choose another model."
        yield Finding(subject=subject, severity="error", sentence=sentence + " Downloads are off.", mend=mend)
    else:
        mend = f"Run: hotmic pull {spec.id}; otherwise the start waits for the download."
        yield Finding(subject=subject, severity="warning", sentence=sentence, mend=mend)


def _check_strength(spec: ModelSpec, here: Machine, subject: str) -> Iterator[Finding]:
    """Judge a CPU by rules of thumb: the memory of a GPU and a half, eight cores for the slow tiers."""
    needed_gb = spec.vram_gb + _MEMORY_BESIDE_MODEL_GB
    if here.memory_bytes and here.memory_bytes < needed_gb * 1e9:
        sentence = f"{spec.id} needs about {needed_gb:.1f} GB, this machine has {here.memory_bytes / 1e9:.1f} GB."
        mend = "Choose a smaller model."
        yield Finding(subject=subject, severity="warning", sentence=sentence, mend=mend)
    if spec.performance_tier in _SLOW_TIERS and here.cores < _SLOW_CORES:
        sentence = f"{spec.id} will be slower than real time on {here.cores} CPU cores."
        mend = "Choose a fast model, or a machine with a GPU."
        yield Finding(subject=subject, severity="warning", sentence=sentence, mend=mend)
