import pytest

from demo_model.errorrate import ErrorRate, word_errors


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b", "a b b b", 2),
        ("", "a", 1),
        ("a b", "", 2),
    ],
)
def test_word_errors(said: str, heard: str, errors: int) -> None:
    assert word_errors(said, heard) == errors


def test_error_rate_sums() -> None:
    rate = ErrorRate()
    rate.add("one two three four", "one two three")
    rate.add("five", "five")
    assert (rate.percent, rate.exact_percent, rate.clips) == (20.0, 50.0, 2)
