from hypothesis import given
from hypothesis import strategies as st

from hotmic.scheduler.ranking import SLACK, Ranking


def test_equal_keys_go_in_the_order_of_their_coming() -> None:
    ranking: Ranking[str] = Ranking()
    for name in "cab":
        ranking.put(name, 1)
    ranking.put("c", 1)
    assert ranking.first() == ("c", 1)
    ranking.put("c", 2)
    assert ranking.first() == ("a", 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3) | st.none()), max_size=200))
def test_the_first_is_the_least_of_what_is_there(changes: list[tuple[int, int | None]]) -> None:
    ranking: Ranking[int] = Ranking()
    model: dict[int, int] = {}
    for name, key in changes:
        if key is None:
            ranking.discard(name)
            model.pop(name, None)
        else:
            ranking.put(name, key)
            model[name] = key
        first = ranking.first()
        assert (first is None) == (not model)
        if first is not None:
            assert model[first[0]] == first[1] == min(model.values())
        assert len(ranking) == len(model)


def test_outdated_entries_do_not_pile_up() -> None:
    ranking: Ranking[str] = Ranking()
    for number in range(10_000):
        ranking.put("a", number)
    assert len(ranking._heap) <= 2 + SLACK
