"""``hotmic models`` and ``hotmic pull``: what can be served, and how its weights get here."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from hotmic.config import hub, weight
from hotmic.config.model import Bundled, HubRepository, ModelSource, ModelSpec
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings, load_settings
from hotmic.errors import ConfigError, DownloadFailed, UnknownModel
from hotmic.log import configure_log

Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HOTMIC_CONFIG")]
Models = Annotated[Path | None, typer.Option(help="The models.yaml to use.")]
ModelsDir = Annotated[Path | None, typer.Option(help="Where downloaded weights are kept.")]

_INTERRUPTED = 130


def models(
    config: Config = None,
    models: Models = None,
    models_dir: ModelsDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the models and what of them is on this machine."""
    settings, registry = _load(config, models, models_dir)
    rows = [_describe(spec, registry, settings) for spec in registry.specs]
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
    else:
        _print_table(rows)


def pull(
    model_id: Annotated[str, typer.Argument(help="Id or alias of the model.", metavar="ID")],
    config: Config = None,
    models: Models = None,
    models_dir: ModelsDir = None,
) -> None:
    """Download the weights of a model.

    Exit code 0: they are here; 1: the download failed; 2: there is no such model; 130: interrupted. What has come is
    kept, and the next pull continues there.
    """
    settings, registry = _load(config, models, models_dir)
    try:
        spec = registry.get(model_id)
    except UnknownModel as error:
        _fail(error.message, 2)
    if found := weight.locate(spec, settings.models_dir):
        typer.echo(f"{spec.id} is already here: {found}")
        return
    try:
        directory = _pull(spec, settings.models_dir)
    except DownloadFailed as error:
        _fail(error.message, 1)
    except KeyboardInterrupt:
        _fail(f"interrupted; what has come is kept, 'hotmic pull {spec.id}' continues", _INTERRUPTED)
    typer.echo(f"{spec.id} is ready: {directory}")


def _pull(spec: ModelSpec, models_dir: Path) -> Path:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(spec.id, total=None)
        return hub.fetch(
            spec,
            models_dir,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _load(config: Path | None, models: Path | None, models_dir: Path | None) -> tuple[Settings, Registry]:
    # What goes wrong is said in a sentence; the log would only say it twice, and on stdout.
    configure_log(level="error")
    try:
        settings = load_settings(config, models=models, models_dir=models_dir)
        return settings, Registry.load(settings.registry_path())
    except ConfigError as error:
        _fail(error.message, 2)


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"hotmic: {sentence}", err=True)
    raise typer.Exit(code)


def _describe(spec: ModelSpec, registry: Registry, settings: Settings) -> dict[str, object]:
    state = weight.disk_state(spec, settings.models_dir)
    path = weight.locate(spec, settings.models_dir)
    return {
        "id": spec.id,
        "name": spec.name,
        "type": spec.type,
        "languages": list(spec.languages),
        "description": spec.description,
        "performance_tier": spec.performance_tier,
        "recommended": spec.recommended,
        "default": spec.id == (settings.model or registry.default),
        "aliases": [alias for alias, target in registry.aliases.items() if target == spec.id],
        "vram_gb": spec.vram_gb,
        "source": _show_source(spec.source),
        "state": state.kind,
        "size_bytes": state.size_bytes,
        "total_bytes": state.total_bytes,
        "path": str(path) if path else None,
    }


def _show_source(source: ModelSource) -> str:
    match source:
        case Bundled(name=name):
            return f"bundled {name}"
        case HubRepository(repository=repository, revision=revision):
            return f"hub {repository}@{revision}"
        case _:
            return f"local {source.path}"


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "id", "languages", "tier", "on disk"):
        table.add_column(title, no_wrap=title == "id")
    table.add_column("VRAM", justify="right")
    table.add_column("name", overflow="ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(
            ("★" if row["recommended"] else " ") + ("→" if row["default"] else " "),
            str(row["id"]),
            ", ".join(row["languages"]),  # type: ignore[arg-type]
            str(row["performance_tier"]),
            _show_state(str(row["state"]), int(str(row["size_bytes"])), int(str(row["total_bytes"]))),
            f"{row['vram_gb']:g} GB",
            str(row["name"]),
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print("★ recommended   → default   download one with: hotmic pull ID", style="dim")


def _show_state(kind: str, size: int, total: int) -> str:
    if kind == "missing":
        return "no"
    shown = f"{size / 1e6:.0f}" if not total or size == total else f"{size / 1e6:.0f} of {total / 1e6:.0f}"
    return f"{'yes' if kind == 'on disk' else kind}, {shown} MB"
