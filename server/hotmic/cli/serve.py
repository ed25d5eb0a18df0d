"""``hotmic serve``: run the daemon."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from hotmic.config.compat import PRESETS, arguments_of, check_model, model_of, preset_of
from hotmic.config.machine import new_loop, raise_file_limit
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings, load_settings, unknown_variables
from hotmic.errors import ConfigError, HotmicError, UnknownModel
from hotmic.log import configure_log
from hotmic.net.systemd import Systemd

_ENDING = ("SIGINT", "SIGBREAK") if sys.platform == "win32" else ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that end the daemon. Windows makes SIGBREAK of a console that is closed, a logoff and a shutdown too."""

_COMPAT = ("compat", "port", "model_id", "dtype")
_THEIRS = "With --compat hindi2hinglish: "
_KEPT_TO_ITSELF = (
    "The original listens on every address; hotmic keeps to this machine. To let others in: --host and --tokens."
)

log = structlog.get_logger(__name__)

Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HOTMIC_CONFIG")]
Models = Annotated[Path | None, typer.Option(help="The models.yaml to use.")]


def serve(
    config: Config = None,
    models: Models = None,
    model: Annotated[str | None, typer.Option(help="Model that serves first (an id of models.yaml).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    control_port: Annotated[int | None, typer.Option(help="Control WebSocket; 0 picks a free port.")] = None,
    audio_port: Annotated[int | None, typer.Option(help="Audio WebSocket; 0 picks a free port.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Page, health and metrics; 0 picks a free port.")] = None,
    listen: Annotated[
        list[str] | None, typer.Option(help="One more WebSocket port, such as 9000/ws/transcription=simul; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda or cpu.")] = None,
    compute_type: Annotated[str | None, typer.Option(help="auto, int8, float16, …")] = None,
    language: Annotated[str | None, typer.Option(help="Language code; left out: the model's own.")] = None,
    vad: Annotated[str | None, typer.Option(help="default, energy, silero, webrtc or seed.")] = None,
    denoise: Annotated[str | None, typer.Option(help="off, auto or on.")] = None,
    tokens: Annotated[Path | None, typer.Option(help="File of tokens; 'hotmic token add' writes it.")] = None,
    auth: Annotated[str | None, typer.Option(help="'none' serves a network without tokens.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain: all ports speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key of the certificate.")] = None,
    allow_null_origin: Annotated[
        bool, typer.Option("--allow-null-origin", help="Accept pages opened from disk without a token.")
    ] = False,
    record: Annotated[Path | None, typer.Option(help="Record every session into this folder.", metavar="DIR")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_file: Annotated[Path | None, typer.Option(help="Append the log here instead of stderr.")] = None,
    compat: Annotated[
        str | None, typer.Option(help=f"Take the place of another server: {', '.join(PRESETS)}.", metavar="SERVER")
    ] = None,
    port: Annotated[int | None, typer.Option(help=_THEIRS + "its --http-port.")] = None,
    model_id: Annotated[str | None, typer.Option(help=_THEIRS + "a model by its id or hub repository.")] = None,
    dtype: Annotated[str | None, typer.Option(help=_THEIRS + "float16 or float32.")] = None,
) -> None:
    """Run the daemon.

    Prints one line per listener on stdout and 'ready' once the default model is warm; logs go to stderr.
    """
    flags = {key: value for key, value in locals().items() if key not in ("config", "listen", *_COMPAT)}
    flags |= {"allow_null_origin": allow_null_origin or None, "listeners": tuple(listen) if listen else None}
    try:
        flags |= arguments_of(compat, port=port, dtype=dtype, model_id=model_id, flags=flags)
        settings = load_settings(config, preset=preset_of(compat, os.environ) if compat else None, **flags)
        if model_id is not None:
            model = model_of(Registry.load(settings.registry_path()), model_id)
            settings = settings.model_copy(update={"model": model})
        if compat:
            check_model(compat, os.environ, Registry.load(settings.registry_path()), model=settings.model)
        configure_log(level=settings.log_level, file=settings.log_file, format=settings.log_format)
        for unknown in unknown_variables(os.environ):
            log.warning(unknown.message)
        if compat and settings.is_loopback:
            log.info(_KEPT_TO_ITSELF, compat=compat, host=settings.host)
        code = run(settings)
    except (ConfigError, UnknownModel) as error:
        typer.echo(f"hotmic: {error.message}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"hotmic: {error.strerror}: {error.filename}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


def run(settings: Settings) -> int:
    """Run a daemon until a signal ends it; return the exit code."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from hotmic.app import Daemon

    manager = Systemd.take(os.environ)
    daemon = Daemon(settings)
    ended = asyncio.Event()
    _on_signals(asyncio.get_running_loop(), ended)
    keeping = asyncio.create_task(manager.run(daemon.describe))
    try:
        await daemon.open(_say)
        loading = asyncio.create_task(daemon.load_default())
        loading.add_done_callback(_tell_ready)
        await daemon.open_gateway(_say)
        # A model that cannot be loaded is no reason to start again: the daemon serves, and says what is wrong.
        loading.add_done_callback(lambda load: None if load.cancelled() else manager.ready(daemon.describe()))
        await ended.wait()
        log.info("Stopping: what is being said gets its final. A second signal ends it at once.")
        manager.stopping()
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    finally:
        await daemon.close()
        keeping.cancel()
        manager.close()
    log.info("Stopped.")
    return 0


def _say(name: str, url: str) -> None:
    _print(f"listening {name} {url}")


def _print(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        # Nobody reads it any more, which is no reason not to serve; nor should the interpreter fail on it at its end.
        log.warning("stdout cannot be written.", reason=error.strerror)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_ready(loading: "asyncio.Task[None]") -> None:
    if loading.cancelled():
        return
    error = loading.exception()
    if error is None:
        _print("ready")
    elif not isinstance(error, HotmicError):
        raise error


def _on_signals(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Let the first signal end the daemon in good order, and any after it at once: the system does it then.

    No code of ours that could be stuck stands between the second signal and the end. The workers end with their
    parent.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # Whoever started the daemon with nohup wants it to outlive the terminal.
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def end() -> None:
        ended.set()
        for number in numbers:
            if sys.platform != "win32":
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))
        else:
            loop.add_signal_handler(number, end)
