"""The command line."""

import typer

from hotmic import __version__
from hotmic.cli.bench import bench
from hotmic.cli.check import check
from hotmic.cli.demo import demo
from hotmic.cli.models import models, pull
from hotmic.cli.ping import ping
from hotmic.cli.replay import replay
from hotmic.cli.serve import serve
from hotmic.cli.token import token
from hotmic.cli.transcribe import transcribe

app = typer.Typer(
    name="hotmic",
    help="Real-time speech-to-text daemon whose models can be swapped while people speak.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hotmic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Real-time speech-to-text daemon whose models can be swapped while people speak."""


for command in (serve, demo, transcribe, models, pull, check, ping, replay):
    app.command()(command)
app.add_typer(bench)
app.add_typer(token)


def main() -> None:
    """Run the program."""
    app()
