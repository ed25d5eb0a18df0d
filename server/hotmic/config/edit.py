"""Configuration files that may be edited while the daemon runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from hotmic.errors import ConfigError

T = TypeVar("T")


class EditedFile(Generic[T]):
    """Watch one file.

    Call ``changed`` about once a second; it costs one ``stat``. An edit is read once the file has stayed the same from
    one call to the next: half a list may look like a whole one.

    Args:
        path: The file.
        value: What was read from it at the start; it stays in force while an edit is broken.
        load: Reads the file; raises ``ConfigError``.
    """

    def __init__(self, path: Path, value: T, load: Callable[[Path], T]) -> None:
        self.path = path
        self.value, self._load = value, load
        self._taken = self._seen = self._signature()
        self._broken = False

    def changed(self) -> T | ConfigError | None:
        """Return the new value, the reason why the new file cannot be used, or ``None`` when nothing changed.

        Each edit is reported once. A file saved without a difference is no change, unless it mends a broken one.
        """
        before, self._seen = self._seen, self._signature()
        if self._seen != before or self._seen == self._taken:
            return None
        # Taken before reading: an edit in between shows at the next call.
        taken, self._taken = self._taken, self._seen
        try:
            value = self._load(self.path)
        except ConfigError as error:
            self._broken = True
            return error
        except Exception:
            self._taken = taken  # a mistake of ours is no reason to forget the edit
            raise
        if value == self.value and not self._broken:
            return None
        self._broken = False
        self.value = value
        return value

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            # A missing file is a state of its own; reading it then says why.
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)
