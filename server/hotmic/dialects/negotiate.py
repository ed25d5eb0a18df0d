"""Which dialect is spoken where."""

from collections.abc import Callable, Mapping

from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect
from hotmic.dialects.wish import Wish

DIALECTS: Mapping[str, Callable[[Wish], Dialect]] = {
    "control": lambda _: ControlDialect(),
    "audio": lambda wish: AudioDialect(sample_rate=wish.sample_rate),
}
"""How each dialect is made for a connection."""

GATEWAY_PATHS: Mapping[str, str] = {
    "/ws/control": "control",
    "/ws/audio": "audio",
}
"""The dialect of every path that the HTTP port takes WebSockets on."""
