"""structlog set-up: readable on a terminal, JSON for machines, never on stdout."""

import logging
import sys
from pathlib import Path
from typing import Literal

import structlog


def configure_log(
    *,
    level: str = "info",
    file: Path | None = None,
    format: Literal["console", "json"] = "console",  # noqa: A002
) -> None:
    """Send structured log lines to stderr, or append them to a file.

    Raises:
        OSError: The file cannot be opened.
    """
    stream = file.open("a", encoding="utf-8") if file else sys.stderr
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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
