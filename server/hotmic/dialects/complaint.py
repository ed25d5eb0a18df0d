"""What is wrong with a field of a message, in plain words; the library that finds it speaks of types and patterns."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import inspect

PATTERNS = {
    r"^[A-Za-z0-9._-]{1,64}$": "1 to 64 letters, digits, '.', '_' or '-'",
    r"^([a-z]{2,3})?$": "a language code such as 'en', or empty",
}
"""Every pattern that messages use, in words."""
_PLACE = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]")
_MISSING = re.compile(r"^Object missing required field `(.*?)`")


def complain(error: msgspec.ValidationError, message: Any) -> tuple[str, str]:
    """Return the field that is wrong, empty for the whole, and a sentence that says what would be right.

    Args:
        error: From decoding.
        message: The type that was to be decoded.

    >>> from hotmic.dialects.message import ConfigureMessage
    >>> try:
    ...     msgspec.json.decode('{"type": "configure", "beam": 99}', type=ConfigureMessage)
    ... except msgspec.ValidationError as error:
    ...     complain(error, ConfigureMessage)
    ('beam', "'beam' must be a whole number from 1 to 10.")
    """
    reason = str(error)
    place = _PLACE.search(reason)
    path = place[1] if place else ""
    if missing := _MISSING.match(reason):
        field = f"{path}.{missing[1]}".removeprefix(".")
        return field, f"The field '{field}' is missing."
    kind: inspect.Type | None = _type_of(message)
    for step in _STEP.finditer(path):
        kind = _inside(kind, step[1]) if kind is not None else None
    field = path.removeprefix(".")
    what = f"'{field}'" if field else "The whole"
    return field, f"{what} must be {describe(kind)}." if kind is not None else f"{what} is wrong."


def describe(kind: inspect.Type) -> str:
    """Return what a type takes, in words; that it may be null, too, is left out."""
    return " or ".join(dict.fromkeys(_words(option) for option in _options(kind)))


@lru_cache(maxsize=64)
def _type_of(message: Any) -> inspect.Type:
    return inspect.type_info(message)


def _options(kind: inspect.Type) -> Iterator[inspect.Type]:
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return (option for option in types if not isinstance(option, inspect.NoneType))


def _inside(kind: inspect.Type, name: str | None) -> inspect.Type | None:
    """Return the type of a field, or of the items of a list where there is no name."""
    tags: list[str] = []
    for option in _options(kind):
        if isinstance(option, inspect.ListType) and name is None:
            return option.item_type
        if isinstance(option, inspect.StructType):
            for field in option.fields:
                if field.encode_name == name:
                    return field.type
            if option.tag_field == name:
                tags.append(str(option.tag))
    return inspect.LiteralType(values=tuple(tags)) if tags else None


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.StrType(pattern=str(pattern)):
            return PATTERNS[pattern]
        case inspect.StrType(max_length=most):
            return "text" if most is None else f"text of at most {most} characters"
        case inspect.IntType(ge=least, le=most):
            return f"a whole number{_range(least, most)}"
        case inspect.FloatType(ge=least, le=most):
            return f"a number{_range(least, most)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return " or ".join(repr(value) for value in values)
        case inspect.ListType(max_length=most):
            return "a list" if most is None else f"a list of at most {most} items"
        case inspect.BytesType():
            return "base64"
        case inspect.StructType():
            return "a JSON object"
    raise TypeError(f"There are no words for {kind}.")


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return "" if least is None else f" of at least {least}"
