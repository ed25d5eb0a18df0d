"""What clients sent and heard while things broke, and a checker that names what must not have happened.

Echo clients say numbers: chunk ``n`` of speaker ``k`` is heard as ``k * SPEAKER_STRIDE + n``, so every loss,
repetition, reordering and cross-talk shows in the numbers of the finals.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from hotmic.engines.echo import SPEAKER_STRIDE

What = Literal["joined", "sent", "acked", "partial", "final"]


class Entry(NamedTuple):
    """One thing that happened.

    ``joined``: a client with its ``speaker``, its ``channel`` and its session's wished name; ``speaks`` false where it
    only listens. ``sent``: a chunk with its ``seq`` (``None``: not numbered) and the ``number`` it says (``None``:
    silence). ``acked``: ``seq``. ``partial``: ``segment_id``, ``stable``. ``final``: ``segment_id``, ``text``, ``seq``,
    and its ``session`` as the daemon names it.
    """

    what: What
    when: float
    client: str
    session: str
    payload: dict[str, Any]


class Violation(NamedTuple):
    """What must not have happened: its kind, to whom, and the details."""

    kind: str
    client: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.client}): {self.detail}"


@dataclass(frozen=True)
class _Party:
    """One client's part of a history."""

    name: str
    session: str
    speaker: int
    channel: str
    speaks: bool
    entries: tuple[Entry, ...]

    def owns(self, session: str) -> bool:
        """Return whether a session is this client's: the wished name, or with a number where that was taken."""
        head, _, tail = session.rpartition("-")
        return session == self.session or (head == self.session and tail.isdigit())

    def of(self, what: What) -> list[Entry]:
        return [entry for entry in self.entries if entry.what == what]

    def finals(self) -> list[Entry]:
        """Return its own finals."""
        return [entry for entry in self.of("final") if self.owns(entry.session)]

    def acks(self) -> list[int]:
        """Return every chunk it was told to be settled, with finals or without."""
        told = [entry.payload["seq"] for entry in (*self.of("acked"), *self.finals())]
        return [seq for seq in told if seq is not None]


def check(history: Iterable[Entry]) -> list[Violation]:
    """Return what is wrong with a history that is complete: everybody has stopped and was told so."""
    entries = list(history)
    parties = [
        _Party(
            name=joined.client,
            session=joined.session,
            speaker=joined.payload["speaker"],
            channel=joined.payload["channel"],
            speaks=joined.payload["speaks"],
            entries=tuple(entry for entry in entries if entry.client == joined.client),
        )
        for joined in entries
        if joined.what == "joined"
    ]
    found: list[Violation] = []
    for party in parties:
        found += _check_sessions(party, parties)
        found += _check_stable(party)
        if party.speaks:
            found += _check_words(party)
            found += _check_acks(party)
    return found


def numbers(text: str) -> list[int]:
    """Return the numbers of an echo transcript."""
    return [int(word) for word in text.split()]


def _check_sessions(party: _Party, parties: list[_Party]) -> Iterator[Violation]:
    """Look for text of sessions nobody opened, of other channels, and of other speakers under a session's name."""
    texts: dict[str, str] = {}
    for final in party.of("final"):
        name, text = final.payload["segment_id"], final.payload["text"]
        if texts.setdefault(name, text) != text:
            yield Violation("segment_reused", party.name, f"{name} is {texts[name]!r} and {text!r}")
        owner = next((other for other in parties if other.owns(final.session)), None)
        if owner is None:
            yield Violation("unknown_session", party.name, f"{final.session} said {final.payload['text']!r}")
            continue
        if owner.channel != party.channel:
            yield Violation("foreign_channel", party.name, f"{final.session} of {owner.channel} is heard")
        strange = [n for n in numbers(final.payload["text"]) if n // SPEAKER_STRIDE != owner.speaker]
        if strange:
            yield Violation("foreign_text", party.name, f"{final.session} said {_shown(strange)}")


def _check_words(party: _Party) -> Iterator[Violation]:
    """Compare what was said with what was told: every word once, in order."""
    said = {e.payload["number"]: e.payload["seq"] for e in party.of("sent") if e.payload["number"] is not None}
    heard = [
        number % SPEAKER_STRIDE
        for final in party.finals()
        for number in numbers(final.payload["text"])
        if number // SPEAKER_STRIDE == party.speaker
    ]
    settled = max(party.acks(), default=-1)
    missing = sorted(said.keys() - set(heard))
    acked = [number for number in missing if said[number] is not None and said[number] <= settled]
    lost = [number for number in missing if number not in acked]
    if lost:
        yield Violation("lost", party.name, _shown(lost))
    if acked:
        yield Violation("acked_not_told", party.name, _shown(acked))
    if unsaid := sorted(set(heard) - said.keys()):
        yield Violation("never_said", party.name, _shown(unsaid))
    if twice := sorted({number for number in heard if heard.count(number) > 1}):
        yield Violation("duplicate", party.name, _shown(twice))
    first = list(dict.fromkeys(heard))
    if late := [later for earlier, later in pairwise(first) if later < earlier]:
        yield Violation("reordered", party.name, _shown(late))


def _check_acks(party: _Party) -> Iterator[Violation]:
    """Look for acknowledgements that go backwards or name chunks that were not sent when they came."""
    told = sent = -1
    for entry in party.entries:
        match entry.what:
            case "sent" if entry.payload["seq"] is not None:
                sent = max(sent, entry.payload["seq"])
            case "acked" | "final" if entry.payload["seq"] is not None and party.owns(entry.session):
                seq = entry.payload["seq"]
                if seq > sent:
                    yield Violation("ack_unsent", party.name, f"{seq}, sent was up to {sent}")
                # The finals come by two connections, so only the acknowledgements of one have an order.
                if entry.what == "acked":
                    if seq < told:
                        yield Violation("ack_backwards", party.name, f"{seq} after {told}")
                    told = max(told, seq)


def _check_stable(party: _Party) -> Iterator[Violation]:
    """Look for stable text of an open segment that was taken back."""
    stable: dict[str, str] = {}
    for partial in party.of("partial"):
        name, now = partial.payload["segment_id"], partial.payload["stable"]
        before = stable.get(name, "")
        if not now.startswith(before):
            yield Violation("stable_changed", party.name, f"{name}: {before!r} became {now!r}")
        stable[name] = now


def _shown(many: list[int]) -> str:
    head = ", ".join(map(str, many[:12]))
    return head if len(many) <= 12 else f"{head} and {len(many) - 12} more"
