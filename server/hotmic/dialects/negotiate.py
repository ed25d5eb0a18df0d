"""Which dialect is spoken where."""

from collections.abc import Callable, Mapping

from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.control_or_caption import ControlOrCaptionDialect
from hotmic.dialects.dialect import Dialect
from hotmic.dialects.live_caption import LiveCaptionDialect
from hotmic.dialects.openai_realtime import OpenaiRealtimeDialect
from hotmic.dialects.plain_text import PlainTextDialect
from hotmic.dialects.rnnt import RnntDialect
from hotmic.dialects.simul import SimulDialect
from hotmic.dialects.wish import Wish

Dialects = Mapping[str, Callable[[Wish], Dialect]]

DIALECTS: Dialects = {
    "control": lambda _: ControlDialect(),
    "audio": lambda wish: AudioDialect(sample_rate=wish.sample_rate),
    "openai_realtime": lambda wish: OpenaiRealtimeDialect(
        name=wish.unique, model=wish.model, session_config=wish.session_config
    ),
    "plain_text": lambda wish: PlainTextDialect(sample_rate=wish.sample_rate),
    "rnnt": lambda wish: RnntDialect(client_id=wish.client_id, sample_rate=wish.sample_rate),
    "simul": lambda wish: SimulDialect(client_id=wish.client_id),
    "live_caption": lambda wish: LiveCaptionDialect(sample_rate=wish.sample_rate),
    "control_or_caption": lambda wish: ControlOrCaptionDialect(LiveCaptionDialect(sample_rate=wish.sample_rate)),
}
"""How each dialect is made for a connection."""

GATEWAY_PATHS: Mapping[str, str] = {
    "/ws/control": "control",
    "/ws/audio": "audio",
    "/": "plain_text",
    "/ws/transcribe": "rnnt",
    "/ws/transcription": "simul",
    "/v1/realtime": "openai_realtime",
    "/ws/live-caption": "live_caption",
}
"""The dialect of every path that the HTTP port takes WebSockets on."""

COMPRESSED = frozenset({"rnnt"})
"""Dialects whose clients may compress their frames (RFC 7692); their document recommends it for mobile networks."""
