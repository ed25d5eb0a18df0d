from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.policies import script

HANG = 20.0


@given(st.text(alphabet=st.sampled_from("ab ,.!ไปกินำ้ๆข้าว東京 タワーがສະບາຍ ខ្មែរ မြန်မာ\u200d"), max_size=40))
def test_units_joined_are_the_text(text: str) -> None:
    assert "".join(script.units(text)) == text.strip()
    assert all(unit.strip() for unit in script.units(text))


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("turn on  the light.", ["turn", " on", "  the", " light."]),
        ("น้ำ", ["น้ำ"]),
        ("เก่งมากๆ", ["เก่", "ง", "ม", "า", "กๆ"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("がぎ".replace("が", "か\u3099"), ["か\u3099", "ぎ"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("ใช้ Python ครับ", ["ใช้", " Python", " ค", "รั", "บ"]),
        ("用GPU跑", ["用", "GPU", "跑"]),
    ],
)
def test_units_of_scripts(text: str, units: list[str]) -> None:
    assert script.units(text) == units


@pytest.mark.parametrize(
    ("unit", "said"), [(" Hello,", "hello"), ("don't", "dont"), ("…", "..."), ("ＧＰＵ", "gpu"), (" น้ำ", "นํ้า")]
)
def test_normalized(unit: str, said: str) -> None:
    assert sorted(script.normalized(unit)) == sorted(said)


def test_scripts_are_told_apart() -> None:
    assert all(script.is_unspaced(char) for char in "ไລខမ東かカ。")
    assert not any(script.is_unspaced(char) for char in "aя한ا9 .")
    assert script.is_east_asian("東")
    assert not script.is_east_asian("ไ")


def test_white_space_is_looked_at_once() -> None:
    """Once for each of its characters would take minutes, in which the daemon answers nobody."""
    found: list[list[str]] = []
    thread = Thread(target=lambda: found.append(script.units("a" + " " * 1_000_000 + "b")), daemon=True)
    thread.start()
    thread.join(HANG)
    assert found == [["a", " " * 1_000_000 + "b"]]
