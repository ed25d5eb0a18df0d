"""``hotmic token``: make, list and revoke tokens."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hotmic.config.settings import load_settings
from hotmic.config.token_file import SCOPES, TokenEntry, check, digest, load, save
from hotmic.errors import ConfigError

PREFIX = "hm_"
"""How tokens begin that are made here, so that they are known where they do not belong."""

token = typer.Typer(name="token", help="Make, list and revoke the tokens that clients present.", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HOTMIC_CONFIG")]
File = Annotated[Path | None, typer.Option("--file", help="The tokens file; by default the one of the settings.")]
Name = Annotated[str, typer.Argument(help="What the token is called: letters, digits, '.', '_' and '-'.")]


@token.command()
def add(
    name: Name,
    file: File = None,
    config: Config = None,
    scope: Annotated[list[str] | None, typer.Option(help="control, speak or listen; repeatable; all.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Channel or pattern it is for; repeatable; all.")] = None,
    expires: Annotated[str | None, typer.Option(help="Last day (UTC) or time, such as 2027-01-31.")] = None,
    connections: Annotated[int | None, typer.Option(help="Most connections at a time.", min=1)] = None,
    streams: Annotated[int | None, typer.Option(help="Most speaking sessions at a time.", min=1)] = None,
    audio_speed: Annotated[float | None, typer.Option(help="Most times real time.", min=1)] = None,
    audio_minutes_per_day: Annotated[float | None, typer.Option(help="Most audio per day.", min=0)] = None,
) -> None:
    """Make a token and print it: once, for only its digest is kept. A running daemon takes it within seconds."""
    value = PREFIX + secrets.token_urlsafe(32)
    try:
        path = _place(file, config)
        entries = load(path).entries if path.exists() else ()
        if any(entry.name == name for entry in entries):
            raise ConfigError(f"{path}: there is a token {name!r} already; revoke it first, or choose another name.")
        made = TokenEntry(
            name=name,
            sha256=digest(value).hex(),
            scopes=tuple(scope) if scope else SCOPES,
            channels=tuple(channel or ()),
            expires=expires,
            connections=connections,
            streams=streams,
            audio_speed=audio_speed,
            audio_minutes_per_day=audio_minutes_per_day,
        )
        check(made)
        if made.expires_at is not None and made.expires_at <= datetime.now(UTC).timestamp():
            raise ConfigError(f"--expires: {expires} is over; a token that has ended lets nobody in.", key="expires")
        save(path, (*entries, made))
    except ConfigError as error:
        raise _failure(error) from error
    typer.echo(value)
    typer.echo(f"This is the only time that the token {name!r} is shown. Its digest is in {path}.", err=True)


@token.command(name="list")
def list_(file: File = None, config: Config = None) -> None:
    """List the tokens and what they grant."""
    try:
        path = _place(file, config)
        found = load(path)
    except ConfigError as error:
        raise _failure(error) from error
    now = datetime.now(UTC).timestamp()
    for entry in found.entries:
        limits = {
            "connections": entry.connections,
            "streams": entry.streams,
            "audio_speed": entry.audio_speed,
            "audio_minutes_per_day": entry.audio_minutes_per_day,
        }
        parts = [entry.name, f"scopes {','.join(entry.scopes)}", f"channels {','.join(entry.channels) or 'all'}"]
        if entry.expires is not None and entry.expires_at is not None:
            parts.append(f"{'expired' if entry.expires_at <= now else 'expires'} {entry.expires}")
        parts += [f"{key} {value:g}" for key, value in limits.items() if value is not None]
        typer.echo("  ".join([*parts, f"sha256 {entry.sha256[:8]}…"]))
    if found.is_plain:
        typer.echo(
            f"{path} holds tokens that can be read; the next 'hotmic token add' makes digests of them.", err=True
        )


@token.command()
def revoke(name: Name, file: File = None, config: Config = None) -> None:
    """Remove a token; a running daemon cuts its connections within seconds."""
    try:
        path = _place(file, config)
        entries = load(path).entries
        kept = [entry for entry in entries if entry.name != name]
        if len(kept) == len(entries):
            raise ConfigError(f"{path}: there is no token {name!r}.")
        save(path, kept)
    except ConfigError as error:
        raise _failure(error) from error
    typer.echo(f"The token {name!r} is revoked.", err=True)
    if not kept:
        typer.echo("No token is left: nobody is let in, and the daemon does not start until there is one.", err=True)


def _place(file: Path | None, config: Path | None) -> Path:
    path = file or load_settings(config).tokens
    if path is None:
        raise ConfigError("tokens: no tokens file is configured; name it with --file or set tokens.", key="tokens")
    return path


def _failure(error: ConfigError) -> typer.Exit:
    typer.echo(f"hotmic: {error.message}", err=True)
    return typer.Exit(2)
