"""Put the texts of neighbouring windows together: nothing doubled, nothing lost."""

from collections.abc import Sequence

from hotmic.policies import script
from hotmic.values import Word

_MATCH_SECONDS = 0.4
"""Two windows may place the same word this far apart; the same word said again is further away."""

_NO_SPACE_BEFORE = ",.!?;:%)]}»”’…"
_NO_SPACE_AFTER = "([{«“‘¿¡"


def join_text(left: str, right: str) -> str:
    """Put two texts one after the other, with a space where the script writes one.

    Example:
        >>> join_text("turn on", "the light")
        'turn on the light'
        >>> join_text("สวัสดี", "ครับ")
        'สวัสดีครับ'
        >>> join_text("今日は", "晴れ")
        '今日は晴れ'
    """
    left, right = left.rstrip(), right.lstrip()
    return left + gap(left, right) + right


def gap(left: str, right: str) -> str:
    """Return what belongs between two texts: a space or nothing."""
    if not left or not right:
        return ""
    before, after = left[-1], right[0]
    if before.isspace() or after.isspace() or after in _NO_SPACE_BEFORE or before in _NO_SPACE_AFTER:
        return ""
    if script.is_east_asian(before) or script.is_east_asian(after):
        return ""
    return "" if script.is_unspaced(before) and script.is_unspaced(after) else " "


def text_of(words: Sequence[str | Word]) -> str:
    """Return the text of a list of words, whether or not they carry their own spaces."""
    texts = [word if isinstance(word, str) else word.word for word in words]
    if any(text[:1].isspace() for text in texts[1:]):
        return "".join(texts).strip()
    joined = ""
    for text in texts:
        joined = join_text(joined, text)
    return joined.strip()


def join_overlapping_text(left: str, right: str) -> str:
    """Join the texts of two windows that share audio, when there are no word times.

    The longest end of ``left`` that begins ``right`` is written once; case and punctuation do not matter. A window may
    have misheard the word its edge cuts, so one unit at the end of ``left`` and at the beginning of ``right`` may
    differ if at least two others agree.
    """
    before, after = script.units(left), script.units(right)
    keys_before, keys_after = _keys(before), _keys(after)
    best = (0, 0, 0)
    for dropped_before, dropped_after in ((0, 0), (1, 0), (0, 1), (1, 1)):
        edge = keys_before[: len(keys_before) - dropped_before]
        least = _least_match(left, right) * (2 if dropped_before or dropped_after else 1)
        for size in range(min(len(edge), len(keys_after) - dropped_after), least - 1, -1):
            if size > best[0] and edge[len(edge) - size :] == keys_after[dropped_after : dropped_after + size]:
                best = (size, dropped_before, dropped_after)
                break
        if best[0] and not dropped_before and not dropped_after:
            break  # Both windows heard these words: none need be taken for misheard, and lost.
    size, dropped_before, dropped_after = best
    if not size:
        return join_text(left, right)
    kept = len(before) - dropped_before
    follow = dropped_after + size
    if size > 1:
        # A window likes to end with a full stop; what the later one writes there knows how the sentence goes on.
        kept, follow = kept - 1, follow - 1
    return join_text("".join(before[:kept]), "".join(after[follow:]))


def join_words(left: Sequence[Word], right: Sequence[Word], *, overlap: tuple[float, float]) -> list[Word]:
    """Join the words of two windows that share the audio of ``overlap``.

    Where both windows heard the same word at the same time, the result changes from ``left`` to ``right`` at the such
    word nearest to the middle of the overlap, as each window knows best what is far from its edge. Where they agree on
    nothing, it changes in the middle.

    Args:
        left: Words of the earlier window, in order; times on the clock of ``right``.
        right: Words of the later window.
        overlap: Start and end in seconds of what both windows heard. Empty (start not before end) means the windows
            only touch, and all words are kept.
    """
    start, stop = overlap
    if start >= stop or not left or not right:
        return [*left, *right]
    middle = (start + stop) / 2
    first = next((i for i, word in enumerate(left) if word.end > start - _MATCH_SECONDS), len(left))
    last = next((j for j, word in enumerate(right) if word.start >= stop + _MATCH_SECONDS), len(right))
    pairs = _matches(left[first:], right[:last])
    if pairs:
        i, j = min(pairs, key=lambda pair: abs(_centre(left[first + pair[0]]) - middle))
        return [*left[: first + i], *right[j:]]
    return _join_at(left, right, middle)


def _join_at(left: Sequence[Word], right: Sequence[Word], middle: float) -> list[Word]:
    """Change windows at a time; a word the change would double or lose is kept once, from the surer window."""
    i = next((i for i, word in enumerate(left) if _centre(word) >= middle), len(left))
    j = next((j for j, word in enumerate(right) if _centre(word) >= middle), len(right))
    if i > 0 and j < len(right) and _same_time(left[i - 1], right[j]):
        if left[i - 1].probability >= right[j].probability:
            j += 1
        else:
            i -= 1
    elif i < len(left) and j > 0 and _same_time(left[i], right[j - 1]):
        if left[i].probability >= right[j - 1].probability:
            i += 1
        else:
            j -= 1
    return [*left[:i], *right[j:]]


def _matches(left: Sequence[Word], right: Sequence[Word]) -> list[tuple[int, int]]:
    """Return the index pairs of the longest common subsequence, words close in time only; of equals the closest."""
    keys_left = _keys([word.word for word in left])
    keys_right = _keys([word.word for word in right])
    score = [[(0, 0.0)] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            best = max(score[i + 1][j], score[i][j + 1])
            apart = abs(_centre(left[i]) - _centre(right[j]))
            if keys_left[i] == keys_right[j] and apart <= _MATCH_SECONDS:
                size, closeness = score[i + 1][j + 1]
                best = max(best, (size + 1, closeness - apart))
            score[i][j] = best
    pairs = []
    i = j = 0
    while i < len(left) and j < len(right):
        if score[i][j] == score[i + 1][j]:
            i += 1
        elif score[i][j] == score[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def _same_time(one: Word, other: Word) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > 0.5 * min(one.end - one.start, other.end - other.start)


def _centre(word: Word) -> float:
    return (word.start + word.end) / 2


def _keys(texts: Sequence[str]) -> list[str]:
    return [script.normalized(text) for text in texts]


def _least_match(left: str, right: str) -> int:
    """One word is a match, one character of an unspaced script is chance."""
    return (
        2 if left and right and script.is_unspaced(left.rstrip()[-1]) and script.is_unspaced(right.lstrip()[0]) else 1
    )
