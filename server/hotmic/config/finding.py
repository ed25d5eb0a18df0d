"""What is wrong with a configuration or a machine, and how to mend it."""

from typing import Literal

from hotmic.values import Value

Severity = Literal["error", "warning", "good"]


class Finding(Value, frozen=True, kw_only=True):
    """One thing that was looked at."""

    subject: str
    """What was looked at, in a word or two."""
    severity: Severity
    """``error``: the daemon will not start or not serve; ``warning``: it will, but worse than it could."""
    sentence: str
    """What was found."""
    mend: str = ""
    """What to do about it."""
