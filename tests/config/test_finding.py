"""Findings."""

import msgspec

from hotmic.config.finding import Finding


def test_finding_is_json_for_programs() -> None:
    finding = Finding(subject="disk", severity="warning", sentence="Low.", mend="Make room.")
    assert msgspec.json.decode(msgspec.json.encode(finding)) == {
        "subject": "disk",
        "severity": "warning",
        "sentence": "Low.",
        "mend": "Make room.",
    }
