"""The table of what other servers' documents print: every copy has a row, and every row a test that uses the copy."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SEEDS = ROOT / "tests" / "integration" / "seeds"
DOCUMENTS = {"hindi2hinglish", "live_caption", "rnnt", "simul_whisper", "thai_dual_socket"}
NONE = "–"


def rows() -> list[list[str]]:
    lines = [line for line in (SEEDS / "README.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_block_of_the_five_documents_has_a_row() -> None:
    assert {row[0].partition("`:")[0] for row in rows()} == DOCUMENTS
    assert len(rows()) == 109
    assert all(len(row) == 5 and row[4] for row in rows())


def test_every_copy_has_a_row() -> None:
    assert {row[2] for row in rows()} - {NONE} == {path.name for path in SEEDS.iterdir()} - {"README.md"}


def test_every_row_names_a_test_that_exists_and_uses_the_copy() -> None:
    wrong = []
    for heading, _, copy, test, _ in rows():
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text("utf-8") if test != NONE else ""
        if test != NONE and f"def {name}(" not in source:
            wrong.append((heading, test))
        if copy != NONE and not re.search(f"['\"]{re.escape(copy)}['\"]", source):
            wrong.append((heading, copy))
    assert wrong == []
