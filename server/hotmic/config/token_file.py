"""The tokens file: who may connect and do what. It holds SHA-256 digests; tokens themselves stand nowhere.

```yaml
tokens:
  - name: kitchen
    sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
    scopes: [speak, listen]        # default: control, speak, listen
    channels: [kitchen, "hall-*"]  # default: all
    expires: "2027-01-31"          # the end of that day, UTC; or a time such as "2027-01-31T12:00:00+01:00"
    connections: 4                 # at a time
    streams: 1                     # speaking sessions at a time
    audio_speed: 2                 # times real time, of one connection or file
    audio_minutes_per_day: 600     # of all its connections, from midnight to midnight UTC
```

Lines of ``name:token[:scope,scope]``, the form of old, are still read; ``hotmic token`` writes them as digests.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import yaml

from hotmic.config import document
from hotmic.errors import ConfigError
from hotmic.values import Value

SCOPES = ("control", "speak", "listen")
MIN_LENGTH = 16
"""Characters of a token that somebody made up."""
NAME = r"[A-Za-z0-9._-]{1,64}"
PATTERN = r"[A-Za-z0-9._*?-]{1,64}"
"""A channel, or several with ``*`` and ``?``."""
_KEYS = (
    "name",
    "sha256",
    "scopes",
    "channels",
    "expires",
    "connections",
    "streams",
    "audio_speed",
    "audio_minutes_per_day",
)
SECRET_PREFIX = "ek_"  # noqa: S105
"""How every client secret begins; no token may."""
_YAML = re.compile(r"tokens:(\s|$)|[{\[%]|---")


class TokenEntry(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One token and what it grants; ``None`` is no limit of its own."""

    name: str
    sha256: str
    """Digest in hexadecimal."""
    scopes: tuple[str, ...] = SCOPES
    channels: tuple[str, ...] = ()
    """Channels or patterns; empty for all."""
    expires: str | None = None
    """As it stands in the file."""
    connections: int | None = None
    streams: int | None = None
    audio_speed: float | None = None
    audio_minutes_per_day: float | None = None

    @property
    def expires_at(self) -> float | None:
        """When it expires, in seconds since the epoch."""
        return None if self.expires is None else moment(self.expires)


class TokenList(Value, frozen=True, kw_only=True):
    """What a tokens file holds."""

    entries: tuple[TokenEntry, ...] = ()
    is_plain: bool = False
    """Whether the file is of the old form, with tokens that can be read."""


def digest(token: str) -> bytes:
    """Return what is kept of a token instead of the token.

    A plain hash is enough for them: tokens are long and random, so there is nothing to guess.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def moment(text: str) -> float:
    """Return seconds since the epoch of a date, its end in UTC, or of a time; without an offset it is UTC.

    Raises:
        ValueError: It is neither.

    >>> moment("1970-01-02T00:00:00Z"), moment("1970-01-01")
    (86400.0, 86400.0)
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when + timedelta(days=1) if re.fullmatch(r"[\d-]+|\d{4}-?W\d\d-?\d?", text) else when).timestamp()


def load(path: Path) -> TokenList:
    """Read a tokens file.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong: names file, line and key, never a token.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{path}: the tokens file cannot be read ({reason}).", file=str(path)) from error
    if len(data) > document.MAX_BYTES:
        raise ConfigError(f"{path}: the tokens file is larger than 1 MiB; is this the right one?", file=str(path))
    text = data.decode("utf-8-sig", "replace")
    meaningful = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    first = next((line for line in meaningful if line), None)
    if first is None:
        raise ConfigError(f"{path}: the tokens file holds no token; hotmic token add makes one.", file=str(path))
    if _YAML.match(first):
        root = document.parse(data, str(path))
        found = TokenList(entries=tuple(_entries(root)) if root else ())
    else:
        found = TokenList(entries=tuple(_lines(path, meaningful)), is_plain=True)
    return found


def save(path: Path, entries: Iterable[TokenEntry]) -> None:
    """Write a tokens file that its owner alone can read; who reads it meanwhile sees the old one or the new one.

    Raises:
        ConfigError: It cannot be written.
    """
    text = _dump(entries)
    place = path.resolve()  # a link stays one
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{path}: the tokens file cannot be written ({reason}).", file=str(path)) from error


def check(entry: TokenEntry) -> None:
    """Refuse an entry that could not be read again.

    Raises:
        ConfigError: Says what is wrong with it.
    """
    root = document.parse(_dump([entry]).encode(), "the new token")
    assert root is not None
    for _ in _entries(root):
        pass


def _dump(entries: Iterable[TokenEntry]) -> str:
    head = "# Who may connect to hotmic. Made by 'hotmic token'; the tokens themselves are kept nowhere.\n"
    rows = [msgspec.to_builtins(entry) for entry in entries]
    return head + yaml.safe_dump({"tokens": rows}, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _entries(root: document.Field) -> Iterable[TokenEntry]:
    seen: dict[str, int] = {}
    fields = root.fields(("tokens",), required=("tokens",))
    for item in fields["tokens"].items():
        entry = _entry(item)
        for key, value in (("name", entry.name), ("sha256", entry.sha256)):
            line = item.node.start_mark.line + 1
            if seen.setdefault(f"{key} {value}", line) != line:
                raise item.fields()[key].error(f"stands here a second time (first in line {seen[f'{key} {value}']})")
        yield entry


def _entry(item: document.Field) -> TokenEntry:
    fields = item.fields(_KEYS, required=("name", "sha256"))
    given: dict[str, object] = {
        "name": fields["name"].text(pattern=NAME, allowed="1 to 64 letters, digits, '.', '_' or '-'"),
        "sha256": _sha256(fields["sha256"]),
    }
    if scopes := fields.get("scopes"):
        given["scopes"] = tuple(dict.fromkeys(scope.choice(SCOPES) for scope in scopes.items()))
        if not given["scopes"]:
            raise scopes.error("is empty", allowed=", ".join(SCOPES))
    if channels := fields.get("channels"):
        allowed = "names of channels, with * and ? for patterns"
        given["channels"] = tuple(one.text(pattern=PATTERN, allowed=allowed) for one in channels.items())
        if not given["channels"]:
            raise channels.error("is empty", allowed=f"{allowed}; leave the key out for all")
    if expires := fields.get("expires"):
        given["expires"] = _date(expires)
    for key in ("connections", "streams"):
        if key in fields:
            given[key] = fields[key].integer(1, 1_000_000)
    if "audio_speed" in fields:
        given["audio_speed"] = fields["audio_speed"].number(1, 1000)
    if "audio_minutes_per_day" in fields:
        given["audio_minutes_per_day"] = fields["audio_minutes_per_day"].number(0, 1e9)
    return msgspec.convert(given, TokenEntry)


def _sha256(field: document.Field) -> str:
    text = str(field.node.value) if isinstance(field.node, yaml.ScalarNode) else ""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        # What stands here may be the token itself, so it is not shown.
        mark = field.node.start_mark
        place = f"{field.file}:{mark.line + 1}:{mark.column + 1}"
        message = f"{place}: {field.key}: is no SHA-256 digest (64 hexadecimal digits); hotmic token add makes one."
        raise ConfigError(message, file=field.file, line=mark.line + 1, column=mark.column + 1, key=field.key)
    return text.lower()


def _date(field: document.Field) -> str:
    text = str(field.node.value) if isinstance(field.node, yaml.ScalarNode) else ""
    try:
        moment(text)
    except (ValueError, OverflowError) as error:
        raise field.error(f"{field.shown()!r} is no date", allowed='a date or time such as "2027-01-31"') from error
    return text


def _lines(path: Path, lines: Iterable[str]) -> Iterable[TokenEntry]:
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        parts = [part.strip() for part in text.split(":")]
        if len(parts) not in (2, 3) or not all(parts) or len(parts[1]) < MIN_LENGTH:
            raise ConfigError(
                f"{path}:{number}: expected 'tokens:' and a list under it, or lines of 'name:token[:scope,scope]' with "
                f"tokens of at least {MIN_LENGTH} characters.",
                file=str(path),
                line=number,
            )
        name, token = parts[0], parts[1]
        scopes = tuple(s.strip() for s in parts[2].split(",")) if len(parts) == 3 else SCOPES
        wrong = [s for s in scopes if s not in SCOPES]
        problem = ""
        if wrong:
            near = document.nearest(wrong[0], SCOPES)
            hint = f" Did you mean {near!r}?" if near else ""
            problem = f"unknown scope '{wrong[0][:16]}'; allowed: {', '.join(SCOPES)}.{hint}"
        elif not re.fullmatch(NAME, name):
            problem = "a name is 1 to 64 letters, digits, '.', '_' or '-'."
        elif token.startswith(SECRET_PREFIX):
            problem = f"a token may not begin with '{SECRET_PREFIX}', as client secrets do."
        elif seen.setdefault(name, number) != number:
            problem = f"the name stands here a second time (first in line {seen[name]})."
        if problem:
            raise ConfigError(f"{path}:{number}: {problem}", file=str(path), line=number)
        yield TokenEntry(name=name, sha256=digest(token).hex(), scopes=scopes)
