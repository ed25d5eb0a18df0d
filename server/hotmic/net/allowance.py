"""How much audio a token may bring per day."""

from hotmic.errors import QuotaReached

DAY = 86_400.0


class Allowances:
    """Audio that was brought since midnight UTC, per token; counted anew when the daemon starts."""

    def __init__(self) -> None:
        self._day = 0.0
        self._spent: dict[str, float] = {}

    def spend(self, name: str, seconds: float, *, most: float, now: float) -> None:
        """Count audio.

        Args:
            name: Of the token.
            seconds: How long it lasts.
            most: Seconds allowed per day.
            now: Seconds since the epoch.

        Raises:
            QuotaReached: It would be more than allowed; nothing was counted. Says when the day is over.
        """
        day, past = divmod(now, DAY)
        if day != self._day:
            self._day, self._spent = day, {}
        spent = self._spent.get(name, 0.0) + seconds
        if spent > most:
            message = f"This token has brought its {most / 60:g} minutes of audio of today (UTC)."
            raise QuotaReached(message, retry_after_ms=int((DAY - past) * 1000) + 1)
        self._spent[name] = spent
