"""Who wants which model, and which is unloaded first. Pure."""


class Demand:
    """Who wants which model.

    One model is *wanted* by all sessions without a choice of their own; the newest wish counts. Until it serves,
    another is *current*. More are *pinned* by sessions that chose them. A model that nobody wants is kept for a while,
    and the one that was left longest ago goes first when room is needed.

    Args:
        keep_alive: Seconds a model is kept after its last session left.
        most: Most models besides those for all.
    """

    def __init__(self, *, keep_alive: float, most: int) -> None:
        self._keep_alive, self._most = keep_alive, most
        self._pins: dict[str, int] = {}
        self._left: dict[str, float] = {}
        self.wanted: str | None = None
        """The model that sessions without a choice are to have."""
        self.current: str | None = None
        """The model that they have."""

    def receive_wish(self, model_id: str | None) -> None:
        """A controller wants a model for all, or none any more."""
        self.wanted = model_id

    def receive_pin(self, model_id: str) -> None:
        """A session chose a model."""
        self._pins[model_id] = self._pins.get(model_id, 0) + 1
        self._left.pop(model_id, None)

    def receive_unpin(self, model_id: str, *, now: float) -> None:
        """A session left its model."""
        self._pins[model_id] -= 1
        if not self._pins[model_id]:
            del self._pins[model_id]
            self.receive_left(model_id, now=now)

    def receive_left(self, model_id: str, *, now: float) -> None:
        """A model serves, and nobody has it any more."""
        self._left[model_id] = now

    def receive_gone(self, model_id: str) -> None:
        """A model is not served any more."""
        self._left.pop(model_id, None)

    def pins(self, model_id: str) -> int:
        """Return how many sessions chose a model."""
        return self._pins.get(model_id, 0)

    def needs(self, model_id: str) -> bool:
        """Return whether anybody wants a model."""
        return model_id == self.wanted or model_id in self._pins

    def has_place(self, model_id: str) -> bool:
        """Return whether a chosen model may be loaded beside the others."""
        others = (self._pins.keys() | self._left.keys()) - {model_id, self.wanted, self.current}
        return model_id in (self.wanted, self.current) or len(others) < self._most

    def least_recently_used(self) -> str | None:
        """Return the model that was left longest ago and that nobody wants; ``None`` where all are wanted."""
        return min(self._idle(), key=self._left.__getitem__, default=None)

    def expired(self, *, now: float) -> list[str]:
        """Return the models that were left long enough ago to be unloaded."""
        return [model_id for model_id in self._idle() if now >= self._left[model_id] + self._keep_alive]

    def next_timer(self) -> float | None:
        """Return when the next model expires."""
        first = self.least_recently_used()
        return None if first is None else self._left[first] + self._keep_alive

    def _idle(self) -> list[str]:
        return [model_id for model_id in self._left if model_id not in (self.wanted, self.current)]
