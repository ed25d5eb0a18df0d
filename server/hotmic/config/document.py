"""A YAML file whose every value knows its line, so that errors can point at it.

Reads the node graph of PyYAML instead of plain objects: positions survive, duplicate keys are seen, and nothing is
constructed but the scalars asked for.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from hotmic.errors import ConfigError

Scalar = str | int | float | bool | None

MAX_BYTES = 1 << 20
"""A configuration larger than this is a mistake, not a configuration."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the choice most like the word, or an empty string when none is near."""
    found = difflib.get_close_matches(word[:64], list(choices), n=1, cutoff=0.6)
    return found[0] if found else ""


@dataclass(frozen=True)
class Field:
    """One value in the document, with its place and its dotted key."""

    file: str
    key: str
    node: yaml.Node

    def error(self, problem: str, *, allowed: str = "", near: str = "", at: yaml.Node | None = None) -> ConfigError:
        """Build the error that points at this value; ``at`` points elsewhere, for instance at the key."""
        mark = (at or self.node).start_mark
        place = f"{self.file}:{mark.line + 1}:{mark.column + 1}"
        sentence = f"{place}: {self.key or 'the document'}: {problem}."
        if near:
            sentence += f" Did you mean {near!r}?"
        if allowed:
            sentence += f" Allowed: {allowed}."
        return ConfigError(
            sentence,
            file=self.file,
            line=mark.line + 1,
            column=mark.column + 1,
            key=self.key,
            value=self.shown(),
            allowed=allowed,
            nearest=near,
        )

    def shown(self) -> str:
        """Return the value as a short text for messages."""
        if isinstance(self.node, yaml.ScalarNode):
            text = str(self.node.value)
            return text if len(text) <= 80 else text[:77] + "..."
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    @property
    def empty(self) -> bool:
        """Whether nothing (or ``null``) stands here."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == "tag:yaml.org,2002:null"

    def scalar(self) -> Scalar:
        """Return a text, number or truth value.

        Raises:
            ConfigError: A list, a mapping or another kind of scalar (a date, binary) stands here.
        """
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error(f"is {self.shown()}", allowed="a single value")
        try:
            value = yaml.constructor.SafeConstructor().construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.error(f"{self.shown()!r} cannot be read", allowed="a text, number, true or false") from error
        if value is not None and not isinstance(value, str | int | float | bool):
            raise self.error(f"{self.shown()!r} is no plain value", allowed="a text (quote it), number, true or false")
        return value

    def text(self, *, pattern: str = ".+", allowed: str = "a text") -> str:
        """Return a text that matches the pattern.

        Raises:
            ConfigError: Anything else stands here; YAML reads unquoted ``no`` and ``1.0`` as other things than text.
        """
        value = self.scalar()
        if not isinstance(value, str):
            raise self.error(f"{self.shown()!r} is not a text", allowed=f"{allowed} (in quotes)")
        if not re.fullmatch(pattern, value, re.DOTALL):
            raise self.error(f"{self.shown()!r} does not fit", allowed=allowed)
        return value

    def choice(self, choices: Sequence[str]) -> str:
        """Return one of the choices.

        Raises:
            ConfigError: Anything else stands here.
        """
        allowed = ", ".join(choices)
        value = self.text(allowed=allowed)
        if value not in choices:
            raise self.error(f"{self.shown()!r} is unknown", allowed=allowed, near=nearest(value, choices))
        return value

    def number(self, low: float, high: float) -> float:
        """Return a number within the bounds, both included.

        Raises:
            ConfigError: Anything else stands here.
        """
        value = self.scalar()
        allowed = f"a number from {low:g} to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{self.shown()!r} is not a number", allowed=allowed)
        if not low <= value <= high:
            raise self.error(f"{self.shown()} is out of range", allowed=allowed)
        return value

    def integer(self, low: int, high: int) -> int:
        """Return a whole number within the bounds, both included.

        Raises:
            ConfigError: Anything else stands here.
        """
        value = self.number(low, high)
        if not isinstance(value, int):
            raise self.error(f"{self.shown()} is not a whole number", allowed=f"a whole number from {low} to {high}")
        return value

    def flag(self) -> bool:
        """Return a truth value.

        Raises:
            ConfigError: Anything else stands here.
        """
        value = self.scalar()
        if not isinstance(value, bool):
            raise self.error(f"{self.shown()!r} is not a truth value", allowed="true or false")
        return value

    def items(self) -> Iterator["Field"]:
        """Yield the values of a list.

        Raises:
            ConfigError: Something else than a list stands here.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"{self.shown()!r} is not a list", allowed="a list")
        for index, node in enumerate(self.node.value):
            yield Field(self.file, f"{self.key}[{index}]", node)

    def fields(self, known: Sequence[str] | None = None, required: Sequence[str] = ()) -> dict[str, "Field"]:
        """Return the values of a mapping under their keys.

        Args:
            known: The keys that may occur; ``None`` allows any.
            required: The keys that must occur.

        Raises:
            ConfigError: No mapping, a key twice, an unknown key, a missing key.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"{self.shown()!r} is not a mapping", allowed="key: value lines")
        found: dict[str, Field] = {}
        for key_node, node in self.node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error("has a key that is no plain text", allowed="key: value lines", at=key_node)
            key = str(key_node.value)
            field = Field(self.file, f"{self.key}.{key}" if self.key else key, node)
            if key in found:
                first = found[key].node.start_mark.line + 1
                raise field.error(f"stands here a second time (first in line {first})", allowed="once", at=key_node)
            if known is not None and key not in known:
                near = nearest(key, [name for name in known if name not in found] or known)
                raise field.error("is an unknown key", allowed=", ".join(known), near=near, at=key_node)
            found[key] = field
        for key in required:
            if key not in found:
                near = nearest(key, found)
                raise self.error(f"lacks the key {key!r}", allowed=f"all of {', '.join(required)}", near=near)
        return found


def load(path: Path) -> Field | None:
    """Read a YAML file; ``None`` when it holds nothing.

    Raises:
        ConfigError: It cannot be read, is no UTF-8, is too large, or is not YAML.
    """
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{file}: the file cannot be read ({reason}).", file=file) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: the file is larger than 1 MiB; is this the right one?", file=file)
    return parse(data, file)


def parse(data: bytes, file: str) -> Field | None:
    """Read the bytes of a YAML document; ``file`` is how errors call it.

    Raises:
        ConfigError: They are no UTF-8 or no YAML.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"{file}:{line}:{column}: not UTF-8 text; save the file as UTF-8."
        raise ConfigError(message, file=file, line=line, column=column) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        detail = "; ".join(part for part in (error.context, error.problem) if part)
        message = f"{file}:{line}:{column}: not YAML: {detail}."
        raise ConfigError(message, file=file, line=line, column=column, allowed="YAML") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"{file}:{line}:{column}: not YAML: a control character stands here."
        raise ConfigError(message, file=file, line=line, column=column, allowed="YAML") from error
    except RecursionError as error:
        raise ConfigError(f"{file}:1:1: not YAML: nested too deeply.", file=file, line=1, column=1) from error
    return None if node is None else Field(file, "", node)
