from hotmic.scheduler.account import KEEP, Account


def test_who_was_away_neither_saves_nor_owes() -> None:
    account = Account(1.0)
    for _ in range(10):
        account.advance("busy")
        account.charge("busy", 1.0)
    assert account.start("busy") == 10.0
    assert account.start("newcomer") == 9.0, "the turn now served, not zero"


def test_rows_that_ride_along_do_not_move_the_time() -> None:
    account = Account(1.0)
    account.advance("a")
    account.charge("a", 1.0)
    account.charge("rider", 50.0)
    assert account.start("b") == 0.0


def test_within_a_round_nobody_loses_what_was_not_served() -> None:
    account = Account(10.0)
    account.charge("a", 9.0)
    assert account.round("a") == account.round("b") == 0
    account.advance("a")
    account.charge("a", 2.0)
    assert account.round("a") == 1
    assert account.start("b") == 0.0


def test_the_books_stay_small() -> None:
    account = Account(1.0)
    for number in range(10_000):
        account.advance(str(number))
        account.charge(str(number), 1.0)
        account.advance(str(number))
    assert len(account) <= 2 * KEEP
