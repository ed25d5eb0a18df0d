"""``hotmic bench``: what this machine carries, and how that compares."""

import asyncio
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from hotmic.config.machine import new_loop, raise_file_limit
from hotmic.errors import ConfigError, HotmicError
from hotmic.log import configure_log

bench = typer.Typer(
    name="bench",
    help="Measure what this machine carries.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130


class Shape(StrEnum):
    """Stubs that cost what a Whisper model costs."""

    TINY = "tiny"
    BASE = "base"
    SMALL = "small"
    TURBO = "large-v3-turbo"


class Wire(StrEnum):
    """How chunks travel."""

    BINARY = "binary"
    JSON = "json"


class Baseline(StrEnum):
    """What to compare with."""

    LOCK = "lock"


class Policy(StrEnum):
    """When words become stable."""

    LOCAL_AGREEMENT = "local_agreement"
    ALIGN_ATT = "align_att"


Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HOTMIC_CONFIG")]
Models = Annotated[Path | None, typer.Option(help="The models.yaml to use.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="Model to serve (an id of models.yaml). For the gateway alone, without one: hotmic bench frontend."
    ),
]
ShapeOption = Annotated[Shape | None, typer.Option(help="Serve a stub of this shape; it says made-up words.")]
Device = Annotated[str | None, typer.Option(help="auto, cuda or cpu.")]
ComputeType = Annotated[str | None, typer.Option(help="auto, int8, float16, …")]
Language = Annotated[str | None, typer.Option(help="Language code; left out: the model's own, or detected.")]
Vad = Annotated[str | None, typer.Option(help="default, energy, silero, webrtc or seed.")]
Control = Annotated[str | None, typer.Option(help="Control socket of a daemon that runs already.")]
Audio = Annotated[str | None, typer.Option(help="Audio socket of a daemon that runs already.")]
Token = Annotated[str | None, typer.Option(help="Token, where that daemon wants one.")]
Speech = Annotated[Path | None, typer.Option(help="Folder of WAV files with references; left out: the bundled clips.")]
Seconds = Annotated[float, typer.Option(min=1.0, help="How long each stream speaks.")]
Duty = Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the time in which a stream has its turn.")]
ChunkMs = Annotated[int, typer.Option(min=10, max=1000, help="Length of a chunk.")]
WireOption = Annotated[Wire, typer.Option(help="Binary chunks, or JSON with base64.")]
PolicyOption = Annotated[Policy | None, typer.Option(help="When words become stable; left out: as the model has it.")]
EndpointMs = Annotated[
    int | None, typer.Option(min=100, max=10_000, help="Silence that shall end a segment; left out: as set here.")
]
BaselineOption = Annotated[Baseline | None, typer.Option(help="Also measure the field's way: a model behind one lock.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write all figures here.")]
Plots = Annotated[Path | None, typer.Option(help="Write plots (SVG) to this folder.")]


@bench.command()
def live(
    streams: Annotated[str, typer.Option(help="Numbers of streams to measure, such as '1,16,64'.")] = "1,8",
    config: Config = None,
    models: Models = None,
    model: Model = None,
    shape: ShapeOption = None,
    device: Device = None,
    compute_type: ComputeType = None,
    language: Language = None,
    vad: Vad = None,
    uri_control: Control = None,
    uri_audio: Audio = None,
    token: Token = None,
    speech: Speech = None,
    seconds: Seconds = 30.0,
    duty: Duty = 1.0,
    chunk_ms: ChunkMs = 100,
    wire: WireOption = Wire.BINARY,
    policy: PolicyOption = None,
    endpoint_ms: EndpointMs = None,
    baseline: BaselineOption = None,
    json: Json = None,
    plots: Plots = None,
) -> None:
    """Speak many streams at once in real time: how late, how steady and how right is the text?

    Starts a daemon for it, or measures the one named by --uri-control and --uri-audio. Times are p50 / p95 / p99.
    """
    given = locals()
    from hotmic.bench.live import run_live
    from hotmic.bench.plot import plot_live
    from hotmic.bench.report import live_table

    with _explained():
        counts = _counts(streams)
        options = _live_options(given)
        with _progress() as report:
            result = _run(run_live(options, counts, baseline=baseline is not None, report=report))
        _finish(result, live_table(result), json)
        if plots is not None:
            _tell(plot_live(result, plots))


@bench.command()
def capacity(
    max_streams: Annotated[int, typer.Option(min=1, help="Do not go beyond this.")] = 512,
    config: Config = None,
    models: Models = None,
    model: Model = None,
    shape: ShapeOption = None,
    device: Device = None,
    compute_type: ComputeType = None,
    language: Language = None,
    vad: Vad = None,
    uri_control: Control = None,
    uri_audio: Audio = None,
    token: Token = None,
    speech: Speech = None,
    seconds: Seconds = 30.0,
    duty: Duty = 1.0,
    chunk_ms: ChunkMs = 100,
    wire: WireOption = Wire.BINARY,
    policy: PolicyOption = None,
    endpoint_ms: EndpointMs = None,
    baseline: BaselineOption = None,
    json: Json = None,
    plots: Plots = None,
) -> None:
    """Find how many streams are sustained: more and more of them until a limit breaks.

    The limits: p95 age of partials <= 1 s, p95 final <= 800 ms after the endpoint, nothing lost, nothing later over
    the run.
    """
    given = locals()
    from hotmic.bench.capacity import CapacityOptions, run_capacity
    from hotmic.bench.plot import plot_capacity
    from hotmic.bench.report import capacity_sentences, capacity_table

    with _explained():
        options = CapacityOptions(live=_live_options(given), max_streams=max_streams, baseline=baseline is not None)
        with _progress() as report:
            result = _run(run_capacity(options, report=report))
        _finish(result, capacity_table(result), json)
        for sentence in capacity_sentences(result):
            typer.echo(sentence)
        if plots is not None:
            _tell(plot_capacity(result, plots))


@bench.command()
def engine(
    config: Config = None,
    models: Models = None,
    model: Model = None,
    shape: ShapeOption = None,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cpu",
    compute_type: Annotated[str, typer.Option(help="int8, float16, …")] = "int8",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: as many as there are cores.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of one batch.")] = 8,
    language: Annotated[str, typer.Option(help="Language code.")] = "en",
    speech: Speech = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of one turn.")] = 3.0,
    json: Json = None,
) -> None:
    """Compare the worker, always full, with bare CTranslate2 fed the best batches."""
    from hotmic.bench.engine import EngineOptions, run_engine
    from hotmic.bench.report import engine_sentences, engine_table
    from hotmic.bench.server import ServerOptions, find_spec
    from hotmic.bench.voice import load_voices
    from hotmic.config import weight

    with _explained():
        server = ServerOptions(config=config, models=models, model=model, shape=_value(shape))
        spec = find_spec(server)
        directory = weight.locate(spec, server.settings().models_dir)
        if directory is None:
            raise ConfigError(f"The weights of {spec.id} are not here; get them with: hotmic pull {spec.id}")
        options = msgspec.convert(
            {
                "device": device,
                "compute_type": compute_type,
                "threads": threads,
                "batch_size": batch_size,
                "language": language,
                "seconds": seconds,
                "spec": spec,
                "directory": directory,
                "clips": tuple(load_voices(speech)),
            },
            EngineOptions,
            strict=False,
            dec_hook=lambda _, value: value,
        )
        with _progress() as report:
            result = _run(run_engine(options, lambda what: report(what, 0.0)))
        _finish(result, engine_table(result), json)
        for sentence in engine_sentences(result):
            typer.echo(sentence)


@bench.command()
def frontend(
    streams: Annotated[int, typer.Option(min=1, help="Streams at once.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of one measurement.")] = 5.0,
    turns: Annotated[int, typer.Option(min=1, help="Measurements of each kind; the median counts.")] = 3,
    json: Json = None,
) -> None:
    """Measure what a chunk of audio costs the gateway: a daemon with the echo engine, so no model is needed."""
    from hotmic.bench.frontend import FrontendOptions, run_frontend
    from hotmic.bench.report import frontend_table

    with _explained():
        options = FrontendOptions(streams=streams, seconds=seconds, turns=turns)
        with _progress() as report:
            result = _run(run_frontend(options, lambda what: report(what, 0.0)))
        _finish(result, frontend_table(result), json)


def _live_options(given: dict[str, Any]) -> Any:
    from hotmic.bench.live import LiveOptions
    from hotmic.bench.sender import Target
    from hotmic.bench.server import ServerOptions
    from hotmic.bench.voice import load_voices

    control, audio = given["uri_control"], given["uri_audio"]
    if (control is None) != (audio is None):
        raise ConfigError("--uri-control and --uri-audio belong together.")
    names = ("config", "models", "model", "device", "compute_type", "language", "vad")
    server = ServerOptions(
        shape=_value(given["shape"]),
        min_silence_ms=given["endpoint_ms"],
        **{name: given[name] for name in names},
    )
    return LiveOptions(
        clips=tuple(load_voices(given["speech"])),
        server=server,
        running=None if control is None else Target(control=control, audio=audio, token=given["token"]),
        seconds=given["seconds"],
        duty=given["duty"],
        chunk_ms=given["chunk_ms"],
        wire=given["wire"].value,
        policy=_value(given["policy"]),
        endpoint_delay=server.endpoint_delay(),
    )


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ConfigError(f"--streams: {text!r} is no list of numbers such as '1,16,64'.")
    return counts


def _value(choice: StrEnum | None) -> Any:
    return None if choice is None else choice.value


def _run(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    async def whole() -> dict[str, Any]:
        return await work

    from hotmic.bench.head import head

    raise_file_limit()
    above = head()
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        return above | runner.run(whole())


def _finish(result: dict[str, Any], table: Any, json: Path | None) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    if json is not None:
        body = msgspec.json.format(msgspec.json.encode(result), indent=1)
        try:
            json.parent.mkdir(parents=True, exist_ok=True)
            json.write_bytes(body + b"\n")
        except OSError as error:
            raise ConfigError(f"{json} cannot be written: {error.strerror}.") from error
        _tell([json])


def _tell(paths: list[Path]) -> None:
    for path in paths:
        typer.echo(f"wrote {path}", err=True)


@contextmanager
def _explained() -> Iterator[None]:
    # What goes wrong is said in a sentence; the log would only say it twice, and on stdout.
    configure_log(level="error")
    try:
        yield
    except ConfigError as error:
        _fail(error.message, 2)
    except HotmicError as error:
        _fail(error.message, 1)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"hotmic: {sentence}", err=True)
    raise typer.Exit(code)


@contextmanager
def _progress() -> Iterator[Any]:
    """Show what is going on: a bar on a terminal, else a line whenever it changes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        told = ""

        def report(what: str, done: float) -> None:
            nonlocal told
            progress.update(task, description=what, completed=done)
            if what != told and not console.is_terminal:
                typer.echo(what, err=True)
            told = what

        yield report
