"""The life of a model as one transition table. Pure."""

from enum import StrEnum

from hotmic.values import ModelState


class Trigger(StrEnum):
    """What moves a model on."""

    LOADED = "weights in memory"
    WARMED = "warmed up"
    FAILED = "load failed"
    RELEASED = "wanted no more"
    DRAINED = "last batch done"
    GIVEN_UP = "workers die again and again"
    STOPPED = "load given up, or the daemon stops"
    ASKED = "asked for again"


TRANSITIONS: dict[tuple[ModelState, Trigger], ModelState] = {
    ("loading", Trigger.LOADED): "warming",
    ("loading", Trigger.WARMED): "serving",
    ("loading", Trigger.FAILED): "failed",
    ("loading", Trigger.STOPPED): "retiring",
    ("warming", Trigger.WARMED): "serving",
    ("warming", Trigger.FAILED): "failed",
    ("warming", Trigger.STOPPED): "retiring",
    ("serving", Trigger.RELEASED): "draining",
    ("serving", Trigger.GIVEN_UP): "unavailable",
    ("serving", Trigger.STOPPED): "retiring",
    ("draining", Trigger.DRAINED): "retiring",
    ("draining", Trigger.GIVEN_UP): "unavailable",
    ("draining", Trigger.STOPPED): "retiring",
    ("unavailable", Trigger.RELEASED): "retiring",
    ("unavailable", Trigger.STOPPED): "retiring",
    ("failed", Trigger.ASKED): "loading",
}
"""The whole life of a model. One that serves goes on serving while a dead worker is replaced."""


def advance(state: ModelState, trigger: Trigger) -> ModelState:
    """Return what a model becomes.

    Raises:
        ValueError: That cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise ValueError(f"a model that is {state} cannot be told: {trigger}") from None


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> loading"]
    lines += [f"    {before} --> {after}: {trigger}" for (before, trigger), after in TRANSITIONS.items()]
    return "\n".join([*lines, "    retiring --> [*]"])
