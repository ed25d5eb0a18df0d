"""Which dialect is spoken where."""

from collections.abc import Callable, Mapping

from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect
from hotmic.dialects.openai_realtime import OpenaiRealtimeDialect
from hotmic.dialects.wish import Wish

DIALECTS: Mapping[str, Callable[[Wish], Dialect]] = {
    "control": lambda _: ControlDialect(),
    "audio": lambda wish: AudioDialect(sample_rate=wish.sample_rate),
    "openai_realtime": lambda wish: OpenaiRealtimeDialect(
        name=wish.unique, model=wish.model, session_config=wish.session_config
    ),
}
"""How each dialect is made for a connection."""

GATEWAY_PATHS: Mapping[str, str] = {
    "/ws/control": "control",
    "/ws/audio": "audio",
    "/v1/realtime": "openai_realtime",
}
"""The dialect of every path that the HTTP port takes WebSockets on."""
