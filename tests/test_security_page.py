"""Every threat in SECURITY.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_threat_names_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    missing = []
    for row in rows:
        cell = row.strip("| ").rpartition("|")[2]
        file = ""
        names = re.findall(r"`([^`]+)`", cell)
        assert names, row
        for name in names:
            path, _, test = name.partition("::")
            file = path or file
            source = ROOT / file
            if not source.is_file() or (test and f"def {test}(" not in source.read_text("utf-8")):
                missing.append(name)
    assert missing == []
