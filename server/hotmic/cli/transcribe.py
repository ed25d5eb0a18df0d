"""``hotmic transcribe``: files in, text or subtitles out, by the same sessions and workers as live speech."""

import asyncio
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from hotmic.cli.serve import Config, Models
from hotmic.config.machine import new_loop
from hotmic.config.settings import Settings, load_settings
from hotmic.dialects.subtitle import FORMATS
from hotmic.errors import ConfigError, HotmicError
from hotmic.log import configure_log


class Format(StrEnum):
    """What to write."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio or video files.")],
    format: Annotated[Format, typer.Option("-f", "--format", help="Output format.")] = Format.TXT,  # noqa: A002
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for one file each; left out: stdout.")
    ] = None,
    config: Config = None,
    models: Models = None,
    model: Annotated[str | None, typer.Option(help="Model (an id of models.yaml).")] = None,
    language: Annotated[str | None, typer.Option(help="Language code; left out: the model's own.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda or cpu.")] = None,
    compute_type: Annotated[str | None, typer.Option(help="auto, int8, float16, …")] = None,
    denoise: Annotated[str | None, typer.Option(help="off, auto or on.")] = None,
) -> None:
    """Transcribe audio and video files."""
    given = locals()
    flags = {name: given[name] for name in ("models", "model", "language", "device", "compute_type", "denoise")}
    try:
        if len(files) > 1 and format is not Format.TXT and output is None:
            raise ConfigError(f"--output: several files as {format} need a folder to be written to.")
        settings = load_settings(config, **flags)
        configure_log(level="warning")
        with asyncio.Runner(loop_factory=new_loop()) as runner:
            failed = runner.run(_transcribe_all(settings, files, format, output))
    except HotmicError as error:
        typer.echo(f"hotmic: {error.message}", err=True)
        raise typer.Exit(2 if error.code == "config_error" else 1) from error
    if failed:
        raise typer.Exit(1)


async def _transcribe_all(settings: Settings, files: list[Path], format: Format, output: Path | None) -> int:  # noqa: A002
    from hotmic.transcriber import Transcriber

    transcriber = Transcriber(settings)
    failed = 0
    console = Console(stderr=True)
    try:
        notice = await transcriber.open(lambda _: None)
        if notice:
            console.print(notice, style="yellow")
        with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
            for path in files:
                task = progress.add_task(path.name, total=1.0)
                try:
                    finals = await transcriber.transcribe(path, report=partial(_advance, progress, task))
                except HotmicError as error:
                    failed += 1
                    typer.echo(f"hotmic: {path}: {error.message}", err=True)
                    continue
                progress.update(task, completed=1.0)
                _write(FORMATS[format](finals), path, format, output, many=len(files) > 1)
    finally:
        await transcriber.close()
    return failed


def _advance(progress: Progress, task: TaskID, share: float) -> None:
    progress.update(task, completed=share)


def _write(text: str, path: Path, format: Format, output: Path | None, *, many: bool) -> None:  # noqa: A002
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{path.stem}.{format}").write_text(text, "utf-8")
        return
    if many and format is Format.TXT:
        sys.stdout.write(f"# {path}\n")
    sys.stdout.write(text)
    sys.stdout.flush()
