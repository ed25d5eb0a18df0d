"""Ports beside the usual ones, each with the wire protocol its clients expect."""

import re
from collections.abc import Iterable

from hotmic.errors import ConfigError

ALLOWED = "PORT=DIALECT or PORT/PATH=DIALECT, such as 9000/ws/transcription=simul"
_ENTRY = re.compile(r"(?P<port>\d{1,5})(?P<path>/[^=\s]*)?=(?P<dialect>[a-z_]+)", re.ASCII)


def parse_listeners(
    entries: Iterable[str], *, dialects: Iterable[str], any_path: str
) -> list[tuple[int, dict[str, str]]]:
    """Return the port of every listener and the dialect of each of its paths; port 0 is a port of its own each time.

    Args:
        entries: As the setting ``listeners`` has them.
        dialects: The dialects there are.
        any_path: What stands for an entry without a path.

    Raises:
        ConfigError: An entry that cannot be read, an unknown dialect, or two dialects for one path.
    """
    known, ports = list(dialects), list[tuple[int, dict[str, str]]]()
    for entry in entries:
        found = _ENTRY.fullmatch(entry)
        if found is None or int(found["port"]) > 65_535:
            raise _wrong(entry, f"allowed: {ALLOWED}")
        if found["dialect"] not in known:
            raise _wrong(entry, f"unknown dialect '{found['dialect']}'; allowed: {', '.join(known)}")
        port, path = int(found["port"]), found["path"] or any_path
        paths = next((paths for other, paths in ports if other == port != 0), None)
        if paths is None:
            paths = {}
            ports.append((port, paths))
        if path in paths:
            raise _wrong(entry, "another entry has this port and path")
        paths[path] = found["dialect"]
    return ports


def _wrong(entry: str, why: str) -> ConfigError:
    return ConfigError(f"listeners: '{entry}': {why}.", key="listeners", value=entry, allowed=ALLOWED)
