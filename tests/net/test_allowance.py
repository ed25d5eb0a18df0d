import pytest

from hotmic.errors import QuotaReached
from hotmic.net.allowance import DAY, Allowances


def test_a_day_s_audio_per_token() -> None:
    allowances = Allowances()
    allowances.spend("a", 60, most=100, now=0)
    with pytest.raises(QuotaReached) as caught:
        allowances.spend("a", 41, most=100, now=DAY - 10)
    assert caught.value.retry_after_ms == 10_001
    allowances.spend("a", 40, most=100, now=DAY - 10)
    allowances.spend("b", 100, most=100, now=DAY - 10)
    allowances.spend("a", 100, most=100, now=DAY)
