"""``hotmic check``: what is wrong with the configuration and the machine, and how to mend it."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hotmic.config.check import find_all
from hotmic.config.finding import Finding

_SIGNS = {"error": ("red", "✗"), "warning": ("yellow", "!"), "good": ("green", "✓")}


def check(
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HOTMIC_CONFIG")] = None,
    models: Annotated[Path | None, typer.Option(help="The models.yaml to use.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that serves first.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    control_port: Annotated[int | None, typer.Option(help="Control WebSocket.")] = None,
    audio_port: Annotated[int | None, typer.Option(help="Audio WebSocket.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Page, health and metrics.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda or cpu.")] = None,
    tokens: Annotated[Path | None, typer.Option(help="File of tokens.")] = None,
    auth: Annotated[str | None, typer.Option(help="'none' serves a network without tokens.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look for everything that would keep the daemon from starting or serving well.

    Takes the flags of 'hotmic serve' that it can judge. Exit code 0: nothing in the way, perhaps warnings; 1: errors.
    """
    findings = find_all(
        config,
        models=models,
        model=model,
        host=host,
        control_port=control_port,
        audio_port=audio_port,
        http_port=http_port,
        device=device,
        tokens=tokens,
        auth=auth,
    )
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode() + "\n")
    else:
        _print(findings)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        colour, sign = _SIGNS[finding.severity]
        console.print(Text(f"{sign} {finding.subject}: ", style=colour) + Text(finding.sentence))
        if finding.mend:
            console.print(Text(f"    {finding.mend}", style="dim"))
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    console.print(f"{errors} errors, {warnings} warnings")
