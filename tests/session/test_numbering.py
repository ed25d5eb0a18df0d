"""Which chunk is due, and what may be forgotten."""

import pytest

from hotmic.errors import SequenceGap
from hotmic.session.numbering import ACK_EVERY, Numbering


def test_a_session_begins_at_any_number_and_goes_on_by_ones() -> None:
    numbering = Numbering()
    assert numbering.is_due(41)
    numbering.receive(41, end=10)
    assert numbering.next_seq == 42
    assert numbering.is_due(42)
    assert not numbering.is_due(41)
    with pytest.raises(SequenceGap, match="Chunk 42 is due, not 44"):
        numbering.is_due(44)


def test_only_whole_chunks_are_settled() -> None:
    numbering = Numbering()
    for seq in range(3):
        numbering.receive(seq, end=(seq + 1) * 10)
    numbering.settle(9)
    assert numbering.tell() is None
    numbering.settle(29)
    assert numbering.tell() == 1
    numbering.settle(5)
    assert numbering.tell() == 1


def test_acknowledgements_come_in_tens_unless_there_is_nothing_to_wait_for() -> None:
    numbering = Numbering()
    told = []
    for seq in range(3 * ACK_EVERY):
        numbering.receive(seq, end=seq)
        numbering.settle(seq)
        told.append(numbering.news(at_once=False))
    assert [seq for seq in told if seq is not None] == [0, ACK_EVERY, 2 * ACK_EVERY]
    assert numbering.news(at_once=True) == 3 * ACK_EVERY - 1
    assert numbering.news(at_once=True) is None
