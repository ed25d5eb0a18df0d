"""Who was served how much: the books of fair queueing.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): everybody's next turn starts where the last one ended,
but not before the virtual time, which is the start of the turn now served. So whoever was away neither saves up turns
nor pays for what others left unused. Turns are compared by rounds of a quantum.
"""

KEEP = 64
"""Names that may be held beyond twice those that matter before the others are forgotten."""


class Account:
    """Turns of the names at one level: tenants of a lane, or sessions of a tenant.

    Args:
        quantum: Cost within which it does not matter who was served less.
    """

    def __init__(self, quantum: float) -> None:
        self._quantum = quantum
        self._virtual = 0.0
        self._finish: dict[str, float] = {}
        self._limit = KEEP

    def __len__(self) -> int:
        return len(self._finish)

    def start(self, name: str) -> float:
        """Return where the next turn of a name starts; it never falls."""
        return max(self._virtual, self._finish.get(name, 0.0))

    def round(self, name: str) -> int:
        """Return the round of the next turn of a name."""
        return int(self.start(name) // self._quantum)

    def charge(self, name: str, cost: float) -> None:
        """Book one turn."""
        self._finish[name] = self.start(name) + cost
        if len(self._finish) > self._limit:
            self._finish = {n: f for n, f in self._finish.items() if f > self._virtual}
            self._limit = 2 * len(self._finish) + KEEP

    def advance(self, name: str) -> None:
        """The turn of a name, which must be of the first round, is the one now served; call it before it is charged.

        The time goes to the start of the round only: others in that round may have been served less.
        """
        self._virtual = max(self._virtual, self.round(name) * self._quantum)
