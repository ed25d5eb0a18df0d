"""Who did what: one log line named ``audit`` for every use of a token, every refusal and every control command."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from hotmic import commands as c
from hotmic.errors import HotmicError

_ASKING = (c.ListModels, c.GetStatus)
"""Commands that change nothing."""

log = structlog.get_logger("hotmic.audit")


def audit(action: str, *, who: str, address: str, outcome: str, **more: object) -> None:
    """Write an audit line.

    Args:
        action: ``connect``, ``authenticate``, ``request``, ``transcribe_file``, ``create_client_secret``, or the name
            of a command.
        who: Name of the token, never the token; empty where there was none.
        address: The client's.
        outcome: ``ok``, ``accepted`` where the end is told elsewhere, or the code of the error.
        more: What it was about, such as a model or a channel.
    """
    log.info("audit", action=action, who=who, address=address, outcome=outcome, **more)


@contextmanager
def auditing(command: c.Command, *, who: str, address: str, channel: str) -> Iterator[dict[str, str]]:
    """Write the audit line of a command that is carried out inside; what is put into the mapping goes with it."""
    about = {"who": who, "channel": getattr(command, "channel", None) or channel}
    if model_id := getattr(command, "model_id", ""):
        about["model"] = model_id[:64]
    action = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(command).__name__).lower()
    try:
        yield about
    except HotmicError as error:
        audit(action, address=address, outcome=error.code, **about)
        raise
    if not isinstance(command, _ASKING):
        audit(action, address=address, outcome="accepted", **about)
