"""The performance page shows the raw output beside it, and nothing else."""

from bench import page


def test_the_tables_of_the_page_are_those_of_the_raw_output() -> None:
    text = page.PAGE.read_text()
    assert page.written(text) == text, "run: python tests/bench/page.py"


def test_every_table_is_on_the_page() -> None:
    text = page.PAGE.read_text()
    assert [name for name in page.TABLES if f"<!-- table {name} -->" not in text] == []
