"""What a client's URL asks for, whatever it speaks."""

import re
from urllib.parse import parse_qs, urlsplit

from hotmic.errors import BadField
from hotmic.values import Value

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_NAMES = ("channel", "session", "client_id", "model")


class Wish(Value, frozen=True, kw_only=True):
    """The path and query of a handshake; empty where the client did not say."""

    path: str = "/"
    channel: str = ""
    session: str = ""
    client_id: str = ""
    model: str = ""
    sample_rate: int | None = None
    unique: str = ""
    """A name that no other connection has; given by the daemon."""
    token: str | None = None
    """A token in the URL, also an empty one; only some dialects take it there."""
    session_config: str = ""
    """A JSON object that a client secret carries: what the session starts with, in the words of its dialect."""


def parse_target(target: str) -> Wish:
    """Parse the path and query of a handshake.

    Raises:
        BadField: No target, or an unusable query parameter.
    """
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise BadField("The path of the request is malformed.") from error
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    for key in _NAMES:
        if key in query and not NAME.fullmatch(query[key]):
            raise BadField(f"'{key}' must be 1 to 64 letters, digits, '.', '_' or '-'.")
    tokens = parse_qs(parts.query, keep_blank_values=True).get("token", [])
    if len(tokens) > 1:
        raise BadField("'token' stands in the URL more than once.")
    rate = query.get("sample_rate")
    if rate is not None and not (_NUMBER.fullmatch(rate) and 4_000 <= int(rate) <= 192_000):
        raise BadField("'sample_rate' must be between 4000 and 192000.")
    return Wish(
        path=parts.path,
        sample_rate=int(rate) if rate else None,
        token=tokens[0] if tokens else None,
        **{key: query.get(key, "") for key in _NAMES},
    )
