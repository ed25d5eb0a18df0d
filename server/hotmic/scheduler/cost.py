"""What a batch costs, learned from finished ones."""

DECAY = 0.98
"""Weight of a batch after each newer one: about the last fifty count."""
FIXED = 0.5
"""Share of a batch taken for fixed cost until batches of different sizes tell."""
STIFFNESS = 0.1
"""How strongly that share is believed, as a squared relative spread of batch sizes."""
OUTLIER, OUTLIER_AFTER = 4.0, 10
"""A batch counts for at most so many times what was expected, once so many are known: a restart is no cost."""


class Cost:
    """Seconds of device time over seconds of padded audio in a batch, as a line.

    Least squares with exponentially fading weights; while all batches are of one size, ``FIXED`` of the cost is taken
    to be the same for any size.
    """

    def __init__(self) -> None:
        self.count = 0
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def learn(self, audio: float, seconds: float) -> None:
        """Take one finished batch: its padded audio and the device time it took."""
        if self.count >= OUTLIER_AFTER:
            seconds = min(seconds, OUTLIER * self.of(1, audio))
        self.count += 1
        self._weight = DECAY * self._weight + 1
        self._x = DECAY * self._x + audio
        self._y = DECAY * self._y + seconds
        self._xx = DECAY * self._xx + audio * audio
        self._xy = DECAY * self._xy + audio * seconds

    @property
    def line(self) -> tuple[float, float]:
        """Seconds per batch, and seconds per second of audio in it; zeros before the first batch."""
        if not self.count:
            return 0.0, 0.0
        x, y = self._x / self._weight, self._y / self._weight
        spread = max(0.0, self._xx / self._weight - x * x)
        together = self._xy / self._weight - x * y
        prior = STIFFNESS * x * x
        slope = (together + prior * (1 - FIXED) * y / x) / (spread + prior)
        slope = min(max(slope, 0.0), y / x)
        return y - slope * x, slope

    def of(self, batches: float, audio: float) -> float:
        """Return the device time of so many batches with so much padded audio in all."""
        fixed, slope = self.line
        return fixed * batches + slope * audio
