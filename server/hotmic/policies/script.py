"""How a script writes words: with spaces between them, or as one run of characters."""

import re
import unicodedata
from bisect import bisect_right

_UNSPACED = (
    (0x0E00, 0x0E7F),  # Thai
    (0x0E80, 0x0EFF),  # Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x19E0, 0x19FF),  # Khmer symbols
    (0x2E80, 0x312F),  # CJK radicals and punctuation, Hiragana, Katakana, Bopomofo
    (0x3190, 0x31FF),  # Kanbun, Bopomofo and Katakana extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xF900, 0xFAFF),  # CJK compatibility
    (0xFF01, 0xFF0F),  # fullwidth punctuation
    (0xFF1A, 0xFF20),
    (0xFF61, 0xFF9F),  # halfwidth Katakana
    (0x20000, 0x323AF),  # CJK extensions B to H
)
_EDGES = [edge for first, last in _UNSPACED for edge in (first, last + 1)]
_EAST_ASIAN_FIRST = 0x2E80
_WORD = re.compile(r"\s*(\S+)")

_JOINS_PREVIOUS = "\u0e33\u0eb3\u0e45\u0e46\u0ec6\u200d"
"""Letters by category that never begin a syllable: sara am, lakkhangyao and the repetition marks."""
_JOINS_NEXT = "\u17d2\u1039\u200d\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4"
"""Khmer coeng, Myanmar virama, and the vowels of Thai and Lao that are written before their consonant."""


def is_unspaced(char: str) -> bool:
    """Tell whether a character belongs to a script without spaces between words."""
    return bisect_right(_EDGES, ord(char)) % 2 == 1


def is_east_asian(char: str) -> bool:
    """Tell whether it is Chinese or Japanese, which put no space next to Latin words either."""
    return ord(char) >= _EAST_ASIAN_FIRST and is_unspaced(char)


def units(text: str) -> list[str]:
    """Split text into the smallest pieces that can be stable: words, or character clusters where words have no spaces.

    White space stays at the front of the unit it precedes, so the units joined are the text, stripped.

    Example:
        >>> units("hello big world")
        ['hello', ' big', ' world']
        >>> units("ไปกิน ok")
        ['ไป', 'กิ', 'น', ' ok']
    """
    found: list[str] = []
    text = text.strip()  # so that every white space has a word behind it
    for word in _WORD.finditer(text):
        begin = word.start()
        if not word[1].isascii():
            for at in range(word.start(1) + 1, word.end()):
                if _begins_unit(text[at - 1], text[at]):
                    found.append(text[begin:at])
                    begin = at
        found.append(text[begin : word.end()])
    return found


def normalized(unit: str) -> str:
    """Return what a unit says without case, width and punctuation; a unit of punctuation alone stays itself."""
    folded = unicodedata.normalize("NFKC", unit).casefold().strip()
    said = "".join(char for char in folded if unicodedata.category(char)[0] not in "PSZ")
    return said or folded


def begins_with(text: str, beginning: str) -> bool:
    """Tell whether a text begins with the words of another, whatever their case and punctuation."""
    wanted = [normalized(unit) for unit in units(beginning)]
    return [normalized(unit) for unit in units(text)][: len(wanted)] == wanted


def _begins_unit(last: str, char: str) -> bool:
    """Tell whether a character of a word begins a unit behind the one before it."""
    if unicodedata.category(char) in ("Mn", "Mc", "Me") or char in _JOINS_PREVIOUS or last in _JOINS_NEXT:
        return False
    return is_unspaced(char) or is_unspaced(last)
