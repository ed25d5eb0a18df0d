"""structlog set-up: readable on a terminal, JSON for machines, never on stdout."""

import logging
import os
import re
import sys
from pathlib import Path
from typing import ClassVar, Literal, TextIO, cast

import structlog

from hotmic.errors import ConfigError

_SECRETS = re.compile(
    r"""(?ix)
    (?P<before>
        \b(?:bearer|basic) [ ]+
      | (?:hotmic-token | openai-insecure-api-key) \.
      | [?&;] (?:token|api_key|access_token) =
      | ["']? \b (?:token|authorization|password|client_secret) \b ["']? \s* [:=] \s* ["'] (?:bearer [ ]+)?
    ) [^\s"'&#,;}]+
    | \b(?:hm_|ek_|sk-)[A-Za-z0-9_-]{16,}
    """
)
"""Where tokens stand in headers, subprotocols, URLs and JSON, and tokens that are known by how they begin."""


def redact(text: str) -> str:
    """Return a text without the secrets in it.

    >>> redact("GET /?token=abc&x=1 with Authorization: Bearer xyz")
    'GET /?token=***&x=1 with Authorization: Bearer ***'
    """
    return _SECRETS.sub(lambda found: f"{found['before'] or ''}***", text)


def _redact_all(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take secrets out of every text of a log line, a traceback too: the last net, nothing should need it."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case bool() | int() | float() | None:
            return value
        case _:
            plain = repr(value)
            clean = redact(plain)
            return value if clean == plain else clean


class _RedactingFormatter(logging.Formatter):
    """Lines of libraries, their tracebacks too, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return redact(super().format(record))


class LogStream:
    """Where log lines go. A disk that is full costs lines, never the daemon.

    Args:
        file: Appended to; ``None`` for stderr.

    Raises:
        ConfigError: The file cannot be opened.
    """

    problem: ClassVar[str] = ""
    """Why the newest line was lost, as a sentence; empty when it was not."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        try:
            self._raw = file.open("ab", buffering=0) if file else None
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            message = f"log_file: {file} cannot be written ({reason}); make its directory, or choose another place."
            raise ConfigError(message, key="log_file", value=str(file)) from error

    def write(self, text: str) -> None:
        """Write a line, or note why not."""
        try:
            if self._raw is None:
                sys.stderr.write(text)
                sys.stderr.flush()
            else:
                self._raw.write(text.encode("utf-8", "replace"))
        except (OSError, ValueError) as error:
            why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "it is closed"
            LogStream.problem = f"The log cannot be written to {self._file or 'stderr'} ({why}); lines are lost."
        else:
            LogStream.problem = ""

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Close the file."""
        if self._raw is not None:
            self._raw.close()


def configure_log(
    *,
    level: str = "info",
    file: Path | None = None,
    format: Literal["console", "json"] = "console",  # noqa: A002
) -> None:
    """Send structured log lines to stderr, or append them to a file.

    Raises:
        ConfigError: The file cannot be opened.
    """
    stream = cast(TextIO, LogStream(file))
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redact_all,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    lines = logging.StreamHandler(stream)
    lines.setFormatter(_RedactingFormatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
