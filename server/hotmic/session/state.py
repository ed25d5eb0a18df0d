"""The life of a recording as one transition table.

A session is *idle* until audio or a start comes, *recording* while it takes audio, and *paused* after a controller
stopped it: then audio is ignored until the next start. ``end`` is the speaker's own end of audio; what was said until
then is finalised in the background while the state already allows the next recording. *closed* is the end of all.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a session stands."""

    IDLE = "idle"
    RECORDING = "recording"
    PAUSED = "paused"
    CLOSED = "closed"


class Trigger(StrEnum):
    """What moves a session on."""

    AUDIO = "audio"
    START = "start"
    END = "end"
    STOP = "stop"
    CLOSE = "close"


TRANSITIONS: dict[tuple[State, Trigger], State] = {
    (State.IDLE, Trigger.AUDIO): State.RECORDING,
    (State.IDLE, Trigger.START): State.RECORDING,
    (State.IDLE, Trigger.END): State.IDLE,
    (State.IDLE, Trigger.STOP): State.PAUSED,
    (State.IDLE, Trigger.CLOSE): State.CLOSED,
    (State.RECORDING, Trigger.AUDIO): State.RECORDING,
    (State.RECORDING, Trigger.START): State.RECORDING,
    (State.RECORDING, Trigger.END): State.IDLE,
    (State.RECORDING, Trigger.STOP): State.PAUSED,
    (State.RECORDING, Trigger.CLOSE): State.CLOSED,
    (State.PAUSED, Trigger.AUDIO): State.PAUSED,
    (State.PAUSED, Trigger.START): State.RECORDING,
    (State.PAUSED, Trigger.END): State.PAUSED,
    (State.PAUSED, Trigger.STOP): State.PAUSED,
    (State.PAUSED, Trigger.CLOSE): State.CLOSED,
}


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    lines += [f"    {before} --> {after}: {trigger}" for (before, trigger), after in TRANSITIONS.items()]
    return "\n".join([*lines, f"    {State.CLOSED} --> [*]"])
