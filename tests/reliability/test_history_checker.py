"""The checker finds every planted fault under its own name, and nothing in a good history."""

from collections.abc import Callable
from typing import Any

import pytest

from history import Entry, Violation, check
from hotmic.engines.echo import SPEAKER_STRIDE

History = list[Entry]


def speak(client: str, speaker: int, channel: str = "c") -> History:
    """Return the history of a client that says 0 1 2, pauses, says 3 4 5 and hears it all."""

    def entry(what: Any, session: str = client, **payload: Any) -> Entry:
        return Entry(what, 0.0, client, session, payload)

    def text(first: int, stop: int) -> str:
        return " ".join(str(speaker * SPEAKER_STRIDE + n) for n in range(first, stop))

    def sent(*numbers: int | None) -> History:
        return [entry("sent", seq=(6 if n is None else n if n < 3 else n + 4), number=n) for n in numbers]

    return [
        entry("joined", speaker=speaker, channel=channel, speaks=True),
        *sent(0, 1),
        entry("partial", segment_id=f"{client}-g-1", stable="0 "),
        *sent(2),
        entry("partial", segment_id=f"{client}-g-1", stable="0 1 "),
        *sent(None),
        entry("acked", seq=1),
        entry("final", segment_id=f"{client}-g-1", text=text(0, 3), seq=2),
        entry("acked", seq=6),
        *sent(3, 4, 5),
        entry("partial", segment_id=f"{client}-g-2", stable="3 "),
        entry("final", session=f"{client}-1", segment_id=f"{client}-g-2", text=text(3, 6), seq=9),
        entry("acked", seq=9),
    ]


def good() -> History:
    listener = [Entry("joined", 0.0, "ear", "ear", {"speaker": 9, "channel": "c", "speaks": False})]
    listener += [entry._replace(client="ear") for entry in speak("ann", 1) if entry.what == "final"]
    return [*speak("ann", 1), *speak("bob", 2), *speak("eve", 3, channel="d"), *listener]


def indices(history: History, what: str, client: str = "ann") -> list[int]:
    return [i for i, entry in enumerate(history) if entry.what == what and entry.client == client]


def change(history: History, what: str, index: int, **payload: Any) -> None:
    place = indices(history, what)[index]
    history[place] = history[place]._replace(payload=history[place].payload | payload)


def lose(history: History) -> None:
    change(history, "final", 1, text=f"{SPEAKER_STRIDE + 3} {SPEAKER_STRIDE + 5}", seq=6)
    del history[indices(history, "acked")[2]]


def lose_acknowledged(history: History) -> None:
    change(history, "final", 0, text=f"{SPEAKER_STRIDE} {SPEAKER_STRIDE + 2}")


def lose_a_final(history: History) -> None:
    del history[indices(history, "final")[0]]


def tell_a_final_twice(history: History) -> None:
    place = indices(history, "final")[1]
    history.insert(place + 1, history[place])


def repeat_a_word(history: History) -> None:
    change(history, "final", 1, text=" ".join(str(SPEAKER_STRIDE + n) for n in (2, 3, 4, 5)))


def swap_finals(history: History) -> None:
    first, second = indices(history, "final")
    history[first], history[second] = history[second], history[first]
    # Acknowledged in time all the same, so that the order is all that is wrong.
    change(history, "final", 0, seq=2)
    change(history, "final", 1, seq=9)


def swap_words(history: History) -> None:
    change(history, "final", 0, text=" ".join(str(SPEAKER_STRIDE + n) for n in (1, 0, 2)))


def mix_in_another_speaker(history: History) -> None:
    place = indices(history, "final")[0]
    text = history[place].payload["text"]
    change(history, "final", 0, text=f"{text} {2 * SPEAKER_STRIDE}")


def tell_another_channel(history: History) -> None:
    place = indices(history, "final", "eve")[0]
    history.append(history[place]._replace(client="ann"))


def say_what_nobody_said(history: History) -> None:
    change(history, "final", 1, text=" ".join(str(SPEAKER_STRIDE + n) for n in (3, 4, 5, 6)))


def go_back(history: History) -> None:
    change(history, "acked", 2, seq=5)


def acknowledge_too_much(history: History) -> None:
    change(history, "acked", 1, seq=7)


def settle_too_much(history: History) -> None:
    change(history, "final", 0, seq=7)


def take_back(history: History) -> None:
    change(history, "partial", 1, stable="0 2 ")
    change(history, "partial", 0, stable="0 1 ")


def invent_a_session(history: History) -> None:
    place = indices(history, "final")[0]
    history.append(history[place]._replace(session="nobody"))


def use_a_name_again(history: History) -> None:
    change(history, "final", 1, segment_id="ann-g-1")


PLANTED: dict[Callable[[History], None], set[str]] = {
    lose: {"lost"},
    lose_acknowledged: {"acked_not_told"},
    lose_a_final: {"acked_not_told"},
    tell_a_final_twice: {"duplicate"},
    repeat_a_word: {"duplicate"},
    swap_finals: {"reordered"},
    swap_words: {"reordered"},
    mix_in_another_speaker: {"foreign_text"},
    tell_another_channel: {"foreign_channel"},
    say_what_nobody_said: {"never_said"},
    go_back: {"ack_backwards"},
    acknowledge_too_much: {"ack_unsent"},
    settle_too_much: {"ack_unsent"},
    take_back: {"stable_changed"},
    use_a_name_again: {"segment_reused"},
    invent_a_session: {"unknown_session"},
}


def test_a_good_history_has_no_violation() -> None:
    assert check(good()) == []


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_by_name(plant: Callable[[History], None]) -> None:
    history = good()
    plant(history)
    found = check(history)
    assert {violation.kind for violation in found} == PLANTED[plant]
    assert {violation.client for violation in found} <= {"ann", "ear"}


def test_a_violation_says_whose_and_what() -> None:
    history = good()
    lose(history)
    assert [str(v) for v in check(history)] == ["lost (ann): 4"]
    assert check(history) == [Violation("lost", "ann", "4")]
