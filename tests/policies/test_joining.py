import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.policies import script
from hotmic.policies.joining import join_overlapping_text, join_text, join_words, text_of
from hotmic.values import Word

ENGLISH = ["turn", "on", "the", "kitchen", "light", "no", "two", "seven", "please", "latte"]
THAI = ["เปิด", "ไฟ", "ใน", "ครัว", "น้ำ", "สอง", "กรุณา", "ที่", "บ้าน", "มาก"]
CHINESE = ["打开", "厨房", "的", "灯", "二", "七", "请", "咖啡", "大", "杯"]
JAPANESE = ["台所", "の", "電気", "を", "つけて", "ください", "コーヒー", "二", "つ", "です"]
LANGUAGES = [(ENGLISH, " "), (THAI, ""), (CHINESE, ""), (JAPANESE, "")]
MISHEARD = [("garble", "gurgle"), ("กรอก", "กลั้ว"), ("嗯嗯", "呃呃"), ("えっと", "あのう")]


def word(text: str, start: float, end: float, probability: float = 0.9) -> Word:
    return Word(word=text, start=start, end=end, probability=probability)


def spoken(texts: list[str], *, shift: list[float] | None = None) -> list[Word]:
    """Words of 0.4 s, one every 0.5 s; each shifted by some error of the aligner."""
    shifts = shift or [0.0] * len(texts)
    return [word(text, i / 2 + shifts[i], i / 2 + 0.4 + shifts[i]) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ("turn on", "the light", "turn on the light"),
        ("turn on ", " the light", "turn on the light"),
        ("", "the", "the"),
        ("the", "", "the"),
        ("light", ", please", "light, please"),
        ("สวัสดี", "ครับ", "สวัสดีครับ"),
        ("ສະບາຍ", "ດີ", "ສະບາຍດີ"),
        ("សួ", "ស្តី", "សួស្តី"),
        ("မင်္ဂလာ", "ပါ", "မင်္ဂလာပါ"),
        ("打开", "灯。", "打开灯。"),
        ("東京", "タワー", "東京タワー"),
        ("今日は", "Monday", "今日はMonday"),
        ("ใช้", "Python", "ใช้ Python"),
        ("불을", "켜", "불을 켜"),
    ],
)
def test_texts_are_spaced_as_their_script(left: str, right: str, joined: str) -> None:
    assert join_text(left, right) == joined


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["turn", "on"], "turn on"),
        ([" turn", " on"], "turn on"),
        ([" don", "'t", " go"], "don't go"),
        (["เปิด", "ไฟ"], "เปิดไฟ"),
        ([word(" turn", 0, 1), word(" on", 1, 2)], "turn on"),
        ([], ""),
    ],
)
def test_text_of_words(words: list[str | Word], text: str) -> None:
    assert text_of(words) == text


@given(st.sampled_from(LANGUAGES), st.data())
def test_overlapping_windows_give_every_word_once(language: tuple[list[str], str], data: st.DataObject) -> None:
    vocabulary, space = language
    texts = data.draw(st.lists(st.sampled_from(vocabulary), min_size=6, max_size=20))
    errors = st.lists(st.floats(-0.09, 0.09), min_size=len(texts), max_size=len(texts))
    centre = data.draw(st.integers(2, len(texts) - 2)) / 2 - 0.05
    start, stop = centre - 0.5, centre + 0.5
    left = [item for item in spoken(texts, shift=data.draw(errors)) if item.end <= stop + 0.1]
    right = [item for item in spoken(texts, shift=data.draw(errors)) if item.start >= start - 0.1]
    joined = join_words(left, right, overlap=(start, stop))
    assert text_of([item.word for item in joined]) == space.join(texts)


@given(st.sampled_from(LANGUAGES), st.data())
def test_windows_whose_clocks_differ_give_every_word_once(language: tuple[list[str], str], data: st.DataObject) -> None:
    texts = data.draw(st.permutations(language[0]))
    centre = data.draw(st.integers(4, len(texts) - 4)) / 2 - 0.05
    start, stop = centre - 1.0, centre + 1.0
    drift = data.draw(st.sampled_from([-0.35, -0.3, -0.1, 0.2, 0.3, 0.35]))
    left = [item for item in spoken(texts) if item.end <= stop]
    late = spoken(texts, shift=[drift] * len(texts))
    right = [item for item, said in zip(late, spoken(texts), strict=True) if said.start >= start]
    assert [item.word for item in join_words(left, right, overlap=(start, stop))] == texts


@given(st.integers(0, len(LANGUAGES) - 1), st.data())
def test_words_cut_by_the_edges_are_misheard_without_harm(number: int, data: st.DataObject) -> None:
    (vocabulary, space), (garble, gurgle) = LANGUAGES[number], MISHEARD[number]
    texts = data.draw(st.lists(st.sampled_from(vocabulary), min_size=6, max_size=20))
    middle = data.draw(st.integers(2, len(texts) - 2))
    centre = middle / 2 - 0.05
    start, stop = centre - 0.75, centre + 0.75
    left = [item for item in spoken(texts) if item.start < stop]
    right = [item for item in spoken(texts) if item.end > start]
    if left[-1].end > stop:
        left[-1] = word(garble, left[-1].start, stop, 0.3)
    if right[0].start < start:
        right[0] = word(gurgle, start, right[0].end, 0.3)
    joined = join_words(left, right, overlap=(start, stop))
    assert [item.word for item in joined] == texts
    assert text_of(joined) == space.join(texts)


def test_a_repeated_word_stays_repeated() -> None:
    texts = ["no"] * 8
    joined = join_words(spoken(texts)[:5], spoken(texts)[3:], overlap=(1.45, 2.45))
    assert [item.word for item in joined] == texts


def test_windows_that_only_touch_lose_nothing() -> None:
    left, right = spoken(["no", "no"]), [word("no", 1.0, 1.4)]
    assert join_words(left, right, overlap=(1.0, 1.0)) == [*left, *right]


@pytest.mark.parametrize(("sure_left", "kept"), [(0.9, "light"), (0.2, "night")])
def test_a_word_heard_two_ways_is_kept_once(sure_left: float, kept: str) -> None:
    left = [word("the", 0.0, 0.4), word("light", 0.7, 1.25, sure_left)]
    right = [word("night", 0.78, 1.27, 0.5), word("please", 1.5, 1.9)]
    assert [item.word for item in join_words(left, right, overlap=(0.5, 1.5))] == ["the", kept, "please"]


@pytest.mark.parametrize(("sure_left", "kept"), [(0.9, "light"), (0.2, "night")])
def test_a_word_both_windows_would_drop_is_kept_once(sure_left: float, kept: str) -> None:
    left = [word("the", 0.0, 0.4), word("light", 0.78, 1.27, sure_left)]
    right = [word("night", 0.7, 1.25, 0.5), word("please", 1.5, 1.9)]
    assert [item.word for item in join_words(left, right, overlap=(0.5, 1.5))] == ["the", kept, "please"]


def test_one_empty_side() -> None:
    words = spoken(["turn", "on"])
    assert join_words(words, [], overlap=(0.0, 1.0)) == words
    assert join_words([], words, overlap=(0.0, 1.0)) == words


@given(st.sampled_from(LANGUAGES), st.data())
def test_text_overlap_is_written_once(language: tuple[list[str], str], data: st.DataObject) -> None:
    vocabulary, space = language
    texts = data.draw(st.permutations(vocabulary))
    first = data.draw(st.integers(1, len(texts) - 2))
    last = data.draw(st.integers(first + 1, len(texts)))
    left, right = space.join(texts[:last]), space.join(texts[first:])
    shared = space.join(texts[first:last])
    if not space and len(script.units(shared)) < 2:
        return
    assert join_overlapping_text(left, right) == space.join(texts)


@given(st.sampled_from(LANGUAGES), st.data())
@settings(max_examples=300)
def test_text_that_repeats_itself_keeps_all_that_either_window_heard(
    language: tuple[list[str], str], data: st.DataObject
) -> None:
    vocabulary, space = language
    few = data.draw(st.lists(st.sampled_from(vocabulary), min_size=1, max_size=2, unique=True))
    texts = data.draw(st.lists(st.sampled_from(few), min_size=3, max_size=12))
    first = data.draw(st.integers(1, len(texts) - 2))
    last = data.draw(st.integers(first + 1, len(texts)))
    left, right = (script.units(space.join(part)) for part in (texts[:last], texts[first:]))
    if not space and len(script.units(space.join(texts[first:last]))) < 2:
        return
    joined = [unit.strip() for unit in script.units(join_overlapping_text("".join(left), "".join(right)))]
    assert joined[: len(left)] == [unit.strip() for unit in left]
    assert joined[-len(right) :] == [unit.strip() for unit in right]
    assert len(joined) <= len(script.units(space.join(texts))), "nothing is said twice"


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ("turn on the kitchen.", "The kitchen light", "turn on the kitchen light"),
        ("turn on the kitchen li", "the kitchen light please", "turn on the kitchen light please"),
        ("turn on the kitchen light", "urn on the kitchen light please", "turn on the kitchen light please"),
        ("turn on", "the light", "turn on the light"),
        ("打开厨房的大登", "厨房的大灯谢谢", "打开厨房的大灯谢谢"),
        ("打开厨房的大灯", "出房的大灯谢谢", "打开厨房的大灯谢谢"),
        ("台所の電気をつま", "電気をつけてください", "台所の電気をつけてください"),
        ("เปิดไฟในครัวมาก", "โครัวมากด้วย", "เปิดไฟในครัวมากด้วย"),
        ("เปิดไฟในครัวมา", "ในครัวมากด้วย", "เปิดไฟในครัวมากด้วย"),
        # Both windows heard the end of the first: nothing of it is taken for misheard.
        ("no two no two no", "no two no two please", "no two no two no two please"),
        ("again and again", "again and again and", "again and again and"),
        ("打开厨房的灯", "的灯谢谢", "打开厨房的灯谢谢"),
        ("เปิดไฟในครัว", "ในครัวด้วย", "เปิดไฟในครัวด้วย"),
        ("", "the light", "the light"),
    ],
)
def test_text_overlap_cases(left: str, right: str, joined: str) -> None:
    assert join_overlapping_text(left, right) == joined
