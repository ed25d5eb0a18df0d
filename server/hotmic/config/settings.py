"""All settings of the daemon in one frozen model.

Sources, the later wins: defaults, the YAML file of ``--config``, environment variables ``HOTMIC_*``, flags.
``python -m hotmic.config.settings`` prints the table of docs/settings.md.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from hotmic.config import document
from hotmic.config.document import nearest
from hotmic.config.model import ComputeType, Device
from hotmic.errors import ConfigError
from hotmic.values import Denoise, PolicyName, VadProfile

PREFIX = "HOTMIC_"
OTHER_VARIABLES = ("HOTMIC_OFFLINE", "HOTMIC_CONFIG", "HOTMIC_TOKEN")
"""Environment variables that are no settings: no downloads; what ``--config`` and ``ping --token`` default to."""

Port = Annotated[int, Field(ge=0, le=65535)]
Names = Annotated[tuple[str, ...], NoDecode]

_file_values: ContextVar[Mapping[str, Any]] = ContextVar("_file_values", default={})  # noqa: B039
_preset_values: ContextVar[Mapping[str, Any]] = ContextVar("_preset_values", default={})  # noqa: B039


def default_models_dir() -> Path:
    """Return the user's cache directory for weights on this platform.

    Raises:
        ConfigError: The user has no home directory.
    """
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        message = "models_dir: there is no home directory to keep weights in; set HOTMIC_MODELS_DIR."
        raise ConfigError(message, key="models_dir", allowed="a directory") from error
    return base / "hotmic" / "models"


class Settings(BaseSettings):
    """How the daemon runs. Build it with ``load_settings``, which explains mistakes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs tokens, or `auth: none` written out."""
    control_port: Port = 8765
    """Port of the control WebSocket; 0 takes any free one."""
    audio_port: Port = 8766
    """Port of the audio WebSocket; 0 takes any free one."""
    http_port: Port = 8000
    """Port of the web page, health and metrics; 0 takes any free one."""
    listeners: Names = ()
    """More WebSocket ports for clients of other servers, such as `9000/ws/transcription=simul`: port, path, dialect."""
    plain_text_sample_rate: int = Field(default=16_000, ge=4_000, le=192_000)
    """Rate in hertz of what clients of the dialect `plain_text` send whose URL names none."""
    simul_decoder: Literal["greedy", "beam"] = "greedy"
    """How finals of the dialect `simul` are searched."""
    simul_beams: int = Field(default=1, ge=1, le=10)
    """Beams of the finals of the dialect `simul`, with `simul_decoder: beam`."""
    simul_policy: PolicyName | None = None
    """When words of `simul` are stable, by default the model's policy. `align_att`, the original's, is less sure."""
    models: Path | None = None
    """The models.yaml to use; by default the one in the working directory, else the one that comes with hotmic."""
    model: str | None = None
    """Id of the model to serve; by default the registry's."""
    models_dir: Path = Field(default_factory=default_models_dir)
    """Where downloaded weights are kept; by default `hotmic/models` in the user's cache directory."""
    download: Literal["auto", "never"] = "auto"
    """Whether loading a model may download its weights when they are missing."""
    device: Device = "auto"
    """Where to compute; `auto` takes a CUDA GPU when one works."""
    compute_type: ComputeType = "auto"
    """Precision of the weights; `auto` takes the model's own, else float16 on a GPU and int8 on a CPU."""
    gpu_memory_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of the GPU memory that loaded models may take together."""
    num_workers: int = Field(default=4, ge=1, le=64)
    """Decodes that run in parallel on a GPU."""
    batch_size: int = Field(default=8, ge=1, le=256)
    """Most windows decoded in one batch."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads of one model; 0 takes its share of the cores: all, half beside another model, and so on."""
    keep_alive_s: float = Field(default=300, ge=0, le=86_400)
    """Time a model that sessions chose for themselves stays loaded after the last of them left."""
    max_chosen_models: int = Field(default=3, ge=0, le=64)
    """Most models that sessions may choose besides the current one; 0 lets them choose none."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """Language code, such as `th`, of all sessions that do not choose; by default the model's own, or detected."""
    vad: VadProfile = "default"
    """Voice activity detection: `default` is an energy gate confirmed by Silero, `seed` the energy rule of old."""
    denoise: Denoise = "off"
    """Noise reduction before decoding; `auto` only where the noise is loud."""
    min_speech_ms: int = Field(default=96, ge=32, le=2000)
    """Speech that confirms a start; lower reacts sooner and lets clicks through."""
    min_silence_ms: int = Field(default=600, ge=100, le=10_000)
    """Silence that confirms an end; the floor of the final's latency."""
    pre_roll_ms: int = Field(default=300, ge=0, le=2000)
    """Audio before the start that belongs to the segment."""
    hang_over_ms: int = Field(default=200, ge=0, le=2000)
    """Audio after the end that belongs to the segment."""
    wire_silence_ms: int = Field(default=1000, ge=100, le=60_000)
    """Time without audio from the client that ends a segment."""
    max_segment_s: float = Field(default=30, ge=5, le=300)
    """Longest segment; a longer one is cut."""
    soft_segment_s: float = Field(default=10, ge=1, le=300)
    """Length of a segment from which shorter pauses end it, down to 200 ms."""
    ring_s: float = Field(default=60, ge=10, le=600)
    """Audio a session keeps until its text has been delivered."""
    live_caption_chunk_s: float = Field(default=2, ge=0.1, le=10)
    """Sound that live captions call needed; 1.5 times as long without a frame ends what is being said."""
    live_caption_min_s: float = Field(default=0.5, ge=0, le=10)
    """Sound that must have come since the last live caption before more words of an open utterance are told."""
    session_ttl_s: float = Field(default=30, ge=0, le=600)
    """Time a speaker that numbers its chunks, or a `client_id` of `simul`, may be away and come back to its session."""
    history_s: float = Field(default=300, ge=0, le=3600)
    """Time in which a listener that comes back is told the finals it missed."""
    partial_cadence_ms: int = Field(default=300, ge=50, le=10_000)
    """Time between partials when the machine is idle."""
    partial_cadence_max_ms: int = Field(default=2000, ge=50, le=60_000)
    """Time between partials under full load."""
    max_message_bytes: int = Field(default=1 << 20, ge=1024, le=1 << 28)
    """Largest message a client may send."""
    outbox_items: int = Field(default=256, ge=8, le=65_536)
    """Most messages waiting for one client."""
    outbox_bytes: int = Field(default=1 << 20, ge=65_536, le=1 << 28)
    """Most bytes waiting for one client."""
    slow_client_s: float = Field(default=10, ge=1, le=600)
    """Time a client may be stuck before it is cut."""
    max_connections_per_address: int = Field(default=4096, ge=1)
    """Most connections from one address."""
    max_streams_per_address: int = Field(default=1024, ge=1)
    """Most speaking sessions from one address."""
    max_connections_per_token: int = Field(default=4096, ge=1)
    """Most connections with one token."""
    max_streams_per_token: int = Field(default=1024, ge=1)
    """Most speaking sessions with one token."""
    max_containers: int = Field(default=32, ge=1, le=4096)
    """Most live recordings in containers, such as WebM, at a time, half of them from one address; each is decoded by a
    process of its own."""
    max_file_mb: int = Field(default=25, ge=1, le=2048)
    """Largest file that can be sent over HTTP, in megabytes (2^20 bytes); it is held in memory until it is decoded."""
    max_file_s: float = Field(default=14_400, ge=1, le=604_800)
    """Longest audio in such a file."""
    max_files: int = Field(default=16, ge=1, le=4096)
    """Most files that are taken at a time."""
    max_files_per_address: int = Field(default=4, ge=1, le=4096)
    """Most files at a time from one address."""
    max_files_per_token: int = Field(default=4, ge=1, le=4096)
    """Most files at a time with one token."""
    max_messages_per_s: float = Field(default=500, ge=0)
    """Messages of one connection per second; more are held back. 0 is no limit."""
    max_commands_per_s: float = Field(default=20, ge=0)
    """Messages that are no audio; twice as many may come at once, more are refused. 0 is no limit."""
    max_audio_speed: float = Field(default=4, ge=0)
    """Audio of one connection in multiples of real time; what comes faster is held back. 0 is no limit."""
    audio_burst_s: float = Field(default=30, ge=1, le=3600)
    """Audio that may come at once before `max_audio_speed` counts."""
    allowed_origins: Names = ()
    """Web origins besides the daemon's own that may connect, such as `https://captions.example`."""
    allowed_hosts: Names = ()
    """Host names besides the loopback ones under which the daemon may be addressed."""
    allowed_addresses: Names = ()
    """Addresses that may connect, such as `192.168.0.0/16`; by default all. Loopback counts like any other."""
    trusted_proxies: Names = ()
    """Addresses of reverse proxies that tell in `X-Forwarded-For` or `Forwarded` where a connection comes from."""
    allow_null_origin: bool = False
    """Whether pages opened from disk (Origin `null`) may connect without a token."""
    auth: Literal["auto", "none"] = "auto"
    """`none` permits a bind beyond loopback without tokens: everyone who reaches the port may listen and speak."""
    tokens: Path | None = None
    """File of the tokens that clients must present, as digests; `hotmic token add` writes it."""
    tls_cert: Path | None = None
    """PEM file of the certificate chain: all ports then speak TLS. Read again when it is renewed."""
    tls_key: Path | None = None
    """PEM file of the private key, without a password; by default the key stands in `tls_cert`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_file: Path | None = None
    """File the log is appended to; by default it goes to stderr."""
    log_format: Literal["console", "json"] = "console"
    """Log lines for people or for programs."""
    record: Path | None = None
    """Folder in which every session is recorded, sound and text, for `hotmic replay`; clients are told."""
    record_max_mb: int = Field(default=512, ge=1, le=1_048_576)
    """Largest file of one recorded session in megabytes (2^20 bytes); an hour of 16 kHz sound is 110. Then it ends."""
    drain_s: float = Field(default=25, ge=0, le=600)
    """Time for open speech to be finished when the daemon is told to stop."""

    @field_validator(
        "listeners", "allowed_origins", "allowed_hosts", "allowed_addresses", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("models", "models_dir", "tokens", "tls_cert", "tls_key", "log_file", "record")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, the first wins: flags, environment, YAML file, preset."""
        from_file = InitSettingsSource(settings_cls, init_kwargs=dict(_file_values.get()))
        preset = InitSettingsSource(settings_cls, init_kwargs=dict(_preset_values.get()))
        return init_settings, env_settings, from_file, preset

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the sockets."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def registry_path(self) -> Path:
        """Return the models.yaml to use: the setting, the working directory's, or the one that comes with hotmic.

        Raises:
            ConfigError: The package holds none (a broken installation).
        """
        if self.models:
            return self.models
        package = Path(__file__).resolve().parent.parent
        # In a checkout the package lies at server/hotmic and the file at the top; in a wheel it lies in the package.
        for candidate in (Path("models.yaml"), package / "models.yaml", package.parent.parent / "models.yaml"):
            if candidate.is_file():
                return candidate
        raise ConfigError("models: no models.yaml came with this installation; name one.", key="models")


def load_settings(
    config: Path | None = None, *, preset: Mapping[str, object] | None = None, **flags: object
) -> Settings:
    """Read the settings from all sources.

    Args:
        config: The YAML file of ``--config``.
        preset: Values that are the defaults instead.
        flags: Values that win over all else; ``None`` means the flag was not given.

    Raises:
        ConfigError: The first mistake, with its place, the value, and what is allowed.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    fields = _read(config)
    values = {key: _plain(key, field) for key, field in fields.items() if not field.empty}
    token, preset_token = _file_values.set(values), _preset_values.set(preset or {})
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _explain(error.errors()[0], fields, given) from error
    finally:
        _file_values.reset(token)
        _preset_values.reset(preset_token)
    for key, fits, rule in _rules(settings):
        if not fits:
            raise _complain(
                key, str(getattr(settings, key)), f"does not fit the other settings ({rule})", fields, given
            )
    return settings


def unknown_variables(environment: Mapping[str, str]) -> list[ConfigError]:
    """Return one error for every ``HOTMIC_*`` variable that means nothing."""
    known = [PREFIX + name.upper() for name in Settings.model_fields] + list(OTHER_VARIABLES)
    errors = []
    for name, value in environment.items():
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = nearest(name.upper(), known)
            message = f"{name}: is an unknown environment variable." + (f" Did you mean {near!r}?" if near else "")
            errors.append(ConfigError(message, file=name, key=name, value=value, nearest=near))
    return errors


def _read(config: Path | None) -> dict[str, document.Field]:
    if config is None:
        return {}
    root = document.load(config)
    return {} if root is None else root.fields(tuple(Settings.model_fields))


def _plain(key: str, field: document.Field) -> object:
    if isinstance(field.node, yaml.SequenceNode):
        return tuple(item.text() for item in field.items())
    value = field.scalar()
    # YAML 1.1 reads an unquoted on, off or no (Norwegian) as a truth value; here it is the word that was meant.
    return field.shown() if isinstance(value, bool) and Settings.model_fields[key].annotation is not bool else value


def _rules(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Yield what must hold between settings: the key to blame, whether it holds, and the rule in words."""
    yield "ring_s", settings.ring_s >= settings.max_segment_s + 5, "at least max_segment_s + 5"
    cadence = settings.partial_cadence_ms
    yield "partial_cadence_max_ms", settings.partial_cadence_max_ms >= cadence, "at least partial_cadence_ms"
    yield "max_audio_speed", not 0 < settings.max_audio_speed < 1, "0, or at least 1"
    yield "tls_key", settings.tls_key is None or settings.tls_cert is not None, "together with tls_cert"
    yield "hang_over_ms", settings.hang_over_ms <= settings.min_silence_ms, "at most min_silence_ms"
    yield (
        "simul_beams",
        settings.simul_decoder == "beam" or settings.simul_beams == 1,
        "1, unless simul_decoder is beam",
    )
    seen: set[int] = set()
    for key in ("control_port", "audio_port", "http_port"):
        port = getattr(settings, key)
        yield key, port == 0 or port not in seen, "a port of its own"
        seen.add(port)


def _explain(detail: ErrorDetails, fields: Mapping[str, document.Field], given: Mapping[str, object]) -> ConfigError:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    problem = detail["msg"][:1].lower() + detail["msg"][1:]
    if key in Settings.model_fields:
        return _complain(key, str(detail["input"])[:80], f"does not fit ({problem})", fields, given)
    near = nearest(key, Settings.model_fields)
    message = f"{key}: is an unknown setting." + (f" Did you mean {near!r}?" if near else "")
    return ConfigError(message, file=key, key=key, nearest=near, allowed=", ".join(Settings.model_fields))


def _complain(
    key: str, value: str, problem: str, fields: Mapping[str, document.Field], given: Mapping[str, object]
) -> ConfigError:
    """Build the error that points at where the value comes from: flag, environment, file or default."""
    allowed, near = _allowed(key), nearest(value, _choices(key))
    variable = PREFIX + key.upper()
    if key in given:
        place = "--" + key.replace("_", "-")
    elif os.environ.get(variable):
        place = variable
    elif key in fields:
        return fields[key].error(f"{fields[key].shown()!r} {problem}", allowed=allowed, near=near)
    else:
        place = key
    hint = f" Did you mean {near!r}?" if near else ""
    message = f"{place}: {value!r} {problem}.{hint} Allowed: {allowed}."
    return ConfigError(message, file=place, key=key, value=value, allowed=allowed, nearest=near)


def _choices(key: str) -> list[str]:
    annotation = Settings.model_fields[key].annotation
    return [value for value in get_args(annotation) if isinstance(value, str)]


def _allowed(key: str) -> str:
    info = Settings.model_fields[key]
    if choices := _choices(key):
        return ", ".join(choices)
    kinds = [kind for kind in (get_args(info.annotation) or (info.annotation,)) if kind is not type(None)]
    names = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path", str: "a text"}
    words = names.get(kinds[0], "a list of texts") if info.annotation != tuple[str, ...] else "a list of texts"
    for constraint in info.metadata:
        for attribute, word in (("ge", "from"), ("gt", "above"), ("le", "to"), ("pattern", "like")):
            if (bound := getattr(constraint, attribute, None)) is not None:
                words += f" {word} {bound}"
    return words


def table() -> str:
    """Return all settings as a Markdown page, made from the docstrings of the fields."""
    lines = [
        "# Settings",
        "",
        "Made by `python -m hotmic.config.settings`; a test keeps it fresh. Every setting can stand in the YAML file",
        "of `--config` under its name, and in the environment as `HOTMIC_` and its name in capitals; those that are",
        "flags too are in `hotmic serve --help`. The later wins: default, file, environment, flag.",
        "",
        "| setting | default | allowed | meaning |",
        "|---|---|---|---|",
    ]
    for key, info in Settings.model_fields.items():
        value = info.get_default()
        shown = "" if value is None or value == () or info.default_factory else str(value)
        cells = (f"`{key}`", f"`{shown}`" if shown else "", _allowed(key), (info.description or "").replace("\n", " "))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
