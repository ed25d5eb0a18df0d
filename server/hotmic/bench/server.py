"""The server under test: one that runs already, a daemon of our own, or the lock baseline."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import yaml

from hotmic.audio.vad import segmenter_numbers
from hotmic.bench.shape import ShapeName, shape_directory, shape_spec
from hotmic.config import weight
from hotmic.config.cores import count_cores
from hotmic.config.model import ModelSpec
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings, load_settings
from hotmic.errors import ConfigError, EngineFailed
from hotmic.values import SAMPLE_RATE, Value

Kind = Literal["hotmic", "lock"]

START_LIMIT = 300.0
"""Seconds until a server must be ready; the largest stub takes a minute to write and longer to load on a slow disk."""
STOP_LIMIT = 45.0


class ServerOptions(Value, frozen=True, kw_only=True):
    """Which model to serve, and how. What is left out is as the settings have it."""

    config: Path | None = None
    models: Path | None = None
    model: str | None = None
    shape: ShapeName | None = None
    """Serve a stub of this shape instead of a model."""
    device: str | None = None
    compute_type: str | None = None
    language: str | None = None
    vad: str | None = None
    min_silence_ms: int | None = None
    """Silence that ends a segment: sessions ask for it, the lock baseline is started with it."""

    def settings(self) -> Settings:
        """Return the settings that the daemon will have.

        Raises:
            ConfigError: A mistake in them.
        """
        flags = {name: getattr(self, name) for name in ("models", "device", "compute_type", "language", "vad")}
        return load_settings(self.config, model=self.model, **flags)

    def endpoint_delay(self) -> float:
        """Return the seconds of silence that end a segment: as asked for, else the profile's own, else as set.

        Raises:
            ConfigError: A mistake in the settings.
        """
        settings = self.settings()
        if self.min_silence_ms is None and settings.vad == "seed":
            return segmenter_numbers("seed").min_silence / SAMPLE_RATE
        return (self.min_silence_ms or settings.min_silence_ms) / 1000


class Server(Value, frozen=True, kw_only=True):
    """A server that is ready."""

    kind: Kind
    control: str
    audio: str
    pid: int | None = None


@contextlib.asynccontextmanager
async def running_server(kind: Kind, options: ServerOptions) -> AsyncIterator[Server]:
    """Start a server on free ports of the loopback address, wait until its model is warm, and end it afterwards.

    Raises:
        ConfigError: There is no such model, or its weights are not here.
        EngineFailed: It did not become ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = await asyncio.to_thread(_command, kind, options, Path(folder))
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        try:
            addresses = await _wait_until_ready(process)
            yield Server(kind=kind, control=addresses["control"], audio=addresses["audio"], pid=process.pid)
        finally:
            await _stop(process)


def find_spec(options: ServerOptions) -> ModelSpec:
    """Return the entry of the model that will be served.

    Raises:
        ConfigError: A mistake in the settings or the registry.
        UnknownModel: There is no such model.
    """
    if options.shape is not None:
        return shape_spec(options.shape, shape_directory(options.shape))
    settings = options.settings()
    registry = Registry.load(settings.registry_path())
    return registry.get(settings.model or registry.default)


def _command(kind: Kind, options: ServerOptions, folder: Path) -> list[str]:
    spec = find_spec(options)
    if kind == "lock":
        return _lock_command(options, spec)
    flags: dict[str, Any] = {
        "config": options.config,
        "models": options.models,
        "model": options.model,
        "device": options.device,
        "compute-type": options.compute_type,
        "language": options.language,
        "vad": options.vad,
    }
    if options.shape is not None:
        flags |= {"models": folder / "models.yaml", "model": spec.id}
        (folder / "models.yaml").write_text(registry_of(spec), "utf-8")
    given = [text for name, value in flags.items() if value is not None for text in (f"--{name}", str(value))]
    ports = ("--control-port", "0", "--audio-port", "0", "--http-port", "0")
    return ["-m", "hotmic", "serve", *ports, "--log-level", "error", *given]


def registry_of(spec: ModelSpec) -> str:
    """Return a models.yaml with one model and nothing else.

    Example:
        >>> from hotmic.config.model import LocalDirectory
        >>> spec = ModelSpec(id="a", name="A", type="echo", source=LocalDirectory(path=Path("w")), languages=("en",))
        >>> print(registry_of(spec), end="")
        default: a
        models:
        - id: a
          languages:
          - en
          name: A
          source:
            local: w
          type: echo
    """
    entry = {name: getattr(spec, name) for name in ("id", "name", "type")}
    source = {"local": str(spec.source.path)}  # type: ignore[union-attr]
    document = {"default": spec.id, "models": [entry | {"languages": list(spec.languages), "source": source}]}
    return yaml.safe_dump(document)


def _lock_command(options: ServerOptions, spec: ModelSpec) -> list[str]:
    settings = options.settings()
    directory = weight.locate(spec, settings.models_dir)
    if directory is None:
        raise ConfigError(f"The weights of {spec.id} are not here; get them with: hotmic pull {spec.id}", key="model")
    if spec.type != "faster_whisper":
        raise ConfigError(
            f"The lock baseline serves faster_whisper models only; {spec.id} is {spec.type}.", key="model"
        )
    device = settings.device if settings.device != "auto" else _find_device()
    chosen = [name for name in (settings.compute_type, spec.compute_type) if name != "auto"]
    flags: dict[str, Any] = {
        "model": directory,
        "device": device,
        "compute-type": chosen[0] if chosen else "float16" if device == "cuda" else "int8",
        "threads": settings.threads or count_cores(),
        "cadence": settings.partial_cadence_ms / 1000,
        "beam": spec.beam,
        "vad": settings.vad,
    }
    if options.config is not None:
        flags["config"] = options.config
    if options.min_silence_ms is not None:
        flags["min-silence-ms"] = options.min_silence_ms
    language = settings.language or next(iter(spec.languages))
    if language != "multilingual":
        flags["language"] = language
    return ["-m", "hotmic.bench.lock", *(text for name, value in flags.items() for text in (f"--{name}", str(value)))]


def _find_device() -> str:
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


async def _wait_until_ready(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    is_ready = False
    try:
        async with asyncio.timeout(START_LIMIT):
            while line := (await process.stdout.readline()).decode():
                match line.split():
                    case ["listening", name, url]:
                        addresses[name] = url
                    case ["ready"]:
                        is_ready = True
                if is_ready and {"control", "audio"} <= addresses.keys():
                    return addresses
    except TimeoutError as error:
        raise EngineFailed(f"The server was not ready within {START_LIMIT:.0f} s.") from error
    raise EngineFailed("The server ended before it was ready; what it wrote to stderr says why.")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
