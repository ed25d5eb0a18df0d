"""``hotmic replay``: feed a recorded session once more."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hotmic import __version__
from hotmic.errors import BadTape, ConfigError
from hotmic.events import Event

IDENTICAL, DIFFERENT, UNREADABLE = 0, 1, 2


def replay(
    file: Annotated[Path, typer.Argument(help="A file that 'hotmic serve --record DIR' wrote.", metavar="FILE")],
    json: Annotated[bool, typer.Option("--json", help="Print every event as one line of JSON.")] = False,
) -> None:
    """Feed a recorded session once more and compare what it says with what it said then.

    Prints the events it says now, with seconds since the first one. Needs no model: the engine's results are in the
    file. Exit code 0: the same events and jobs; 1: others, and the first difference is shown; 2: not a file to replay.
    """
    from hotmic.building import build_policy, build_segmenter
    from hotmic.session.replay import Replay
    from hotmic.session.tape import Tape

    try:
        with file.open("rb") as stream:
            tape = Tape(stream)
            if tape.header.version != __version__:
                _note(f"recorded by hotmic {tape.header.version}, replayed by {__version__}")
            session = Replay(tape.header, build_segmenter=build_segmenter, build_policy=build_policy)
            try:
                difference = session.run(tape)
            finally:  # what was said before an input on which the session raises is the half of the report
                for now, event in session.events:
                    sys.stdout.write(_line(now, event) if json else _sentence(now - session.events[0][0], event))
    except (BadTape, ConfigError) as error:
        _note(f"{file}: {error.message} ({error.code})")
        raise typer.Exit(UNREADABLE) from error
    except OSError as error:
        _note(f"{file}: {error.strerror}")
        raise typer.Exit(UNREADABLE) from error
    if tape.is_cut:
        _note("the file ends in the middle of an entry; all before it was replayed")
    if difference is not None:
        _note(difference.explain())
        raise typer.Exit(DIFFERENT)
    _note(f"identical: {session.inputs} inputs, {session.jobs} jobs, {len(session.events)} events")


def _line(now: float, event: Event) -> str:
    return msgspec.json.encode({"now": now, **msgspec.to_builtins(event)}).decode() + "\n"


def _sentence(seconds: float, event: Event) -> str:
    known = ("request_id", "session_id", "channel", "recorded")
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in known}
    shown = " ".join(f"{name}={value!r}" for name, value in fields.items() if value not in (None, "", ()))
    return f"{seconds:9.3f}  {type(event).__name__}  {shown}".rstrip() + "\n"


def _note(sentence: str) -> None:
    typer.echo(f"hotmic replay: {sentence}", err=True)
