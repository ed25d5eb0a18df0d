"""The folder of ``--record``: one file for every session, readable by its owner alone."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from hotmic.errors import ConfigError
from hotmic.session.tape import MAGIC, Entry, Header, encode

SUFFIX = ".hotmic"

log = structlog.get_logger(__name__)


class TapeFile:
    """One session's file. Every entry is handed to the system at once, so a killed daemon loses none.

    Args:
        path: A file that is not there yet.
        header: What it begins with.
        max_bytes: It ends before it grows larger.
        on_failure: Told once, in a sentence, when it cannot be written any more; the session goes on without.
    """

    def __init__(self, path: Path, header: Header, *, max_bytes: int, on_failure: Callable[[str], None]) -> None:
        self._path, self._max_bytes, self._on_failure = path, max_bytes, on_failure
        self._size = 0
        self._file: int | None = None
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            self._fail(error)
        self._write(MAGIC + encode(header))

    @property
    def is_open(self) -> bool:
        """Whether entries are still taken."""
        return self._file is not None

    def write(self, entry: Entry) -> None:
        """Append an entry, unless the file has ended."""
        if self._file is not None:
            self._write(encode(entry))

    def close(self) -> None:
        """End the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                os.close(file)
            except OSError as error:
                self._fail(error)

    def _write(self, frame: bytes) -> None:
        if self._file is None:
            return
        if self._size + len(frame) > self._max_bytes:
            log.warning("A recorded session is as large as record_max_mb allows; its file ends.", file=self._path.name)
            self.close()
            return
        try:
            rest = memoryview(frame)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._fail(error)
            self.close()
        self._size += len(frame)

    def _fail(self, error: OSError) -> None:
        self._on_failure(f"Sessions can no longer be recorded: {error.strerror}.")


class TapeFolder:
    """Where sessions are recorded.

    Args:
        path: The folder; made, for its owner alone, where it is missing.
        max_bytes: Of one file.
        on_failure: Told when a file cannot be written.

    Raises:
        ConfigError: The folder cannot be made or not be written to.
    """

    def __init__(self, path: Path, *, max_bytes: int, on_failure: Callable[[str], None]) -> None:
        self._path, self._max_bytes, self._on_failure = path, max_bytes, on_failure
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"record: cannot make the folder {path}: {error.strerror}.", key="record") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise ConfigError(f"record: the folder {path} cannot be written to.", key="record")

    def open(self, header: Header) -> TapeFile:
        """Return the file of a new session; one that has ended already where it cannot be made."""
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", header.session_id)[:100]
        path = self._path / f"{when}-{name}{SUFFIX}"
        return TapeFile(path, header, max_bytes=self._max_bytes, on_failure=self._on_failure)
