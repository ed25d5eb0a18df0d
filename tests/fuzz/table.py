"""All parsers of bytes from strangers, by name."""

from collections.abc import Mapping

from fuzz import arrays, containers, frames, messages, sounds
from fuzz.parser import Parser

PARSERS: Mapping[str, Parser] = {
    "npy": arrays.PARSER,
    "frames": frames.PARSER,
    "audio": sounds.PARSER,
    "messages": messages.PARSER,
    "containers": containers.PARSER,
}
