from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.audio.segmenter import Boundary, Segmenter, SpeechEnded, SpeechStarted
from hotmic.audio.vad import build_vad, segmenter_numbers
from hotmic.values import Samples

FRAME = 100


class ScriptedVad:
    """Reads the probability, in percent, from the first sample of each frame."""

    frame = FRAME

    def probabilities(self, samples: Samples) -> list[float]:
        assert len(samples)
        return [float(frame[0]) / 100 for frame in samples.reshape(-1, FRAME)]

    def reset(self) -> None:
        """No state."""


def audio(script: str, *, loudness: dict[int, int] | None = None) -> Samples:
    """One frame per letter: ``.`` silence, ``S`` speech, ``?`` doubt (0.4); ``loudness`` sets the rest of a frame."""
    frames = []
    for index, letter in enumerate(script):
        frame = np.full(FRAME, (loudness or {}).get(index, 50), dtype=np.int16)
        frame[0] = {".": 0, "S": 90, "?": 40}[letter]
        frames.append(frame)
    return np.concatenate(frames)


def segmenter(**numbers: float) -> Segmenter:
    chosen = {
        "min_speech": 300,
        "min_silence": 500,
        "pre_roll": 200,
        "hang_over": 200,
        "max_segment": 100_000,
        "stay_threshold": 0.3,
        **numbers,
    }
    return Segmenter(ScriptedVad(), **chosen)  # type: ignore[arg-type]


def found(script: str, *, finish: bool = True, **numbers: float) -> list[Boundary]:
    made = segmenter(**numbers)
    made.receive(audio(script))
    if finish:
        made.finish()
    return made.boundaries_to_send()


def spans(boundaries: list[Boundary]) -> list[tuple[int, int]]:
    return [(item.start, item.end) for item in boundaries if isinstance(item, SpeechEnded)]


def test_one_word_with_pre_roll_and_hang_over() -> None:
    boundaries = found("....SSSS.....", finish=False)
    started, ended = boundaries
    assert isinstance(started, SpeechStarted)
    assert isinstance(ended, SpeechEnded)
    assert started.start == 200
    assert (ended.start, ended.end, ended.speech_probability) == (200, 1000, pytest.approx(0.9))


def test_end_waits_for_min_silence() -> None:
    assert found("....SSSS....", finish=False)[1:] == []


def test_a_long_segment_ends_at_a_shorter_pause() -> None:
    numbers = {"soft_after": 2000, "min_pause": 200, "max_segment": 6000, "pre_roll": 0}
    short = "." + "S" * 15 + "..." + "S" * 3 + "......"
    assert len(spans(found(short, **numbers))) == 1
    long = "." + "S" * 41 + ".." + "S" * 5 + "......"
    assert spans(found(long, **numbers)) == [(100, 4400), (4400, 5100)]
    assert len(spans(found(long, **numbers | {"soft_after": 4200}))) == 1


def test_the_pause_that_is_enough_shrinks_with_the_segment() -> None:
    numbers = {"soft_after": 1000, "min_pause": 100, "max_segment": 4500, "pre_roll": 0}
    needed = []
    for length in (10, 15, 20, 30, 35):
        for pause in range(1, 6):
            if len(spans(found("." + "S" * length + "." * pause + "SSS" + "......", **numbers))) == 2:
                needed.append(pause)
                break
    assert needed == sorted(needed, reverse=True)
    assert needed[0] == 5
    assert needed[-1] == 1


def test_short_speech_is_no_segment() -> None:
    assert found("....SS.......SS......") == []


def test_a_gap_within_the_start_is_forgiven_only_if_short() -> None:
    assert spans(found("....S.SS......", start_gap=100)) == [(200, 1000)]
    assert found("....S..SS.....", start_gap=100) == []
    assert found("....S.SS......", start_gap=0) == []


def test_a_pause_belongs_to_the_utterance() -> None:
    assert spans(found("....SSS....SSS.......")) == [(200, 1600)]
    assert spans(found("....SSS.....SSS.......")) == [(200, 900), (1000, 1700)]


def test_doubt_before_a_start_belongs_to_it_but_does_not_confirm() -> None:
    assert spans(found("....??SSS......")) == [(200, 1100)]
    assert found("....?????????......") == []


def test_doubt_holds_an_open_segment() -> None:
    assert spans(found("....SSS????????.......")) == [(200, 1700)]


def test_start_is_never_before_the_session_or_the_last_end() -> None:
    assert spans(found("SSS......SSS......", pre_roll=600, hang_over=400)) == [(0, 700), (700, 1600)]


def test_hang_over_ends_with_the_audio() -> None:
    assert spans(found("..SSSS.")) == [(0, 700)]


def test_finish_judges_the_unfinished_frame() -> None:
    made = segmenter()
    made.receive(audio("..SSSS")[:-30])
    made.finish()
    assert spans(made.boundaries_to_send()) == [(0, 570)]
    assert made.position == 570


def test_audio_after_finish_is_a_new_segment_from_there_on() -> None:
    made = segmenter()
    made.receive(audio("..SSSS")[:-30])
    made.finish()
    made.receive(audio("SSSS......"))
    made.finish()
    assert spans(made.boundaries_to_send()) == [(0, 570), (570, 1170)]


def test_finish_without_speech_is_silent() -> None:
    made = segmenter()
    made.receive(audio("...."))
    made.finish()
    made.finish()
    assert made.boundaries_to_send() == []


def test_open_segment_is_visible() -> None:
    made = segmenter()
    made.receive(audio("...."))
    assert (made.open_start, made.speech_probability, made.keep_from) == (None, 0.0, 200)
    made.receive(audio("SSSS"))
    assert (made.open_start, made.keep_from) == (200, 200)
    assert made.speech_probability == pytest.approx(0.9)


def test_long_segment_is_cut_at_its_quietest_point() -> None:
    made = segmenter(max_segment=3000)
    made.receive(audio("S" * 50, loudness=dict.fromkeys(range(50), 9000) | {26: 10}))
    made.finish()
    first, *rest = spans(made.boundaries_to_send())
    assert first[0] == 0
    assert 2000 <= first[1] < 3000
    starts = [start for start, _ in rest]
    ends = [first[1], *(end for _, end in rest)]
    assert starts == ends[:-1]
    assert ends[-1] == 5000


def test_quietest_point_is_within_the_gap() -> None:
    vad = ScriptedVad()
    vad.frame = 1600
    made = Segmenter(vad, min_speech=1600, min_silence=9600, pre_roll=0, hang_over=0, max_segment=16000 * 3)
    samples = (8000 * np.random.default_rng(0).standard_normal(16000 * 4).clip(-3, 3)).astype(np.int16)
    gap = slice(16000 * 2 + 8000, 16000 * 2 + 9600)
    samples[gap] = 3
    samples[::1600] = 90
    vad.probabilities = lambda samples: [0.9] * (len(samples) // vad.frame)  # type: ignore[method-assign]
    made.receive(samples)
    made.finish()
    (_, cut), (start, end) = spans(made.boundaries_to_send())
    assert gap.start <= cut <= gap.stop
    assert (start, end) == (cut, 64000)


def test_no_empty_segment_after_a_cut_in_the_closing_silence() -> None:
    boundaries = found("S" * 20 + "." * 15, max_segment=2300, min_silence=1000)
    assert spans(boundaries) == [(0, 2200)]


def test_boundaries_carry_the_noise_before_and_after() -> None:
    script = "......SSS..........SSS......."
    made = segmenter()
    made.receive(audio(script, loudness={i: i for i in range(len(script))}))
    heard = [set(np.frombuffer(item.noise, dtype=np.int16).tolist()) - {0} for item in made.boundaries_to_send()]
    assert heard[0] == {1, 2, 3}
    assert heard[1] == {1, 2, 3, 11}
    assert 15 in heard[2]


def test_noise_is_from_outside_speech() -> None:
    made = segmenter()
    made.receive(audio("......SSS.......", loudness={i: i for i in range(16)}))
    made.finish()
    heard = set(made.noise().tolist()) - {0}
    assert heard
    assert heard & {4, 5, 6, 7, 8, 9, 10} == set()


@settings(deadline=None)
@given(
    st.text(alphabet="..SS?", max_size=120),
    st.lists(st.integers(0, 12_000), max_size=12),
    st.sampled_from([700, 2000, 100_000]),
)
def test_cuts_between_chunks_do_not_matter(script: str, cuts: list[int], max_segment: int) -> None:
    samples = audio("." + script)
    numbers = {"max_segment": max_segment, "soft_after": 900, "min_pause": 100}
    whole, pieces = segmenter(**numbers), segmenter(**numbers)
    whole.receive(samples)
    whole.finish()
    kept = 0
    boundaries: list[Boundary] = []
    certain: tuple[int, int] | None = None
    for piece in np.split(samples, sorted(cut for cut in cuts if cut < len(samples))):
        pieces.receive(piece)
        boundaries += pieces.boundaries_to_send()
        assert kept <= pieces.keep_from <= pieces.position
        assert all(item.start >= kept for item in boundaries[-1:])
        kept = pieces.keep_from
        for item in boundaries:
            if certain and isinstance(item, SpeechEnded) and item.start == certain[0]:
                assert item.end >= certain[1]
        if pieces.open_start is not None:
            assert pieces.certain_end is not None
            certain = pieces.open_start, pieces.certain_end
        else:
            assert pieces.certain_end is None
    pieces.finish()
    boundaries += pieces.boundaries_to_send()
    assert boundaries == whole.boundaries_to_send()
    assert np.array_equal(pieces.noise(), whole.noise())


@pytest.mark.parametrize(("start", "stay"), [(0.5, 0.3), (0.3, 0.5)])
@given(st.lists(st.text(alphabet=".?S", min_size=1, max_size=5), min_size=1, max_size=30))
def test_chunks_of_many_frames_are_judged_as_those_of_one(start: float, stay: float, chunks: list[str]) -> None:
    """A doubtful onset may fill a chunk that holds no speech."""
    judged = []
    for cuts in (chunks, "".join(chunks)):
        made = segmenter(start_threshold=start, stay_threshold=stay)
        for chunk in cuts:
            made.receive(audio(chunk))
        made.finish()
        judged.append(made.boundaries_to_send())
    assert judged[0] == judged[1]


@settings(deadline=None)
@given(st.text(alphabet="...SSS?", max_size=150), st.sampled_from([700, 2000, 100_000]))
def test_boundaries_alternate_and_never_overlap(script: str, max_segment: int) -> None:
    boundaries = found("." + script, max_segment=max_segment, soft_after=900, min_pause=100)
    last_end = 0
    for started, ended in zip(boundaries[::2], boundaries[1::2], strict=True):
        assert isinstance(started, SpeechStarted)
        assert isinstance(ended, SpeechEnded)
        assert last_end <= started.start == ended.start < ended.end <= 100 * (len(script) + 1)
        assert ended.end - ended.start <= max_segment
        assert 0.0 <= ended.speech_probability <= 1.0
        last_end = ended.end


@settings(deadline=None, max_examples=5)
@given(cuts=st.lists(st.integers(0, 60_000), max_size=6))
def test_cuts_do_not_matter_to_the_default_vad(spoken: Callable[..., Samples], cuts: list[int]) -> None:
    numbers = segmenter_numbers("default")
    arguments = {name: getattr(numbers, name) for name in numbers.__struct_fields__}
    results = []
    for chunks in ([spoken()], np.split(spoken(), sorted(cuts))):
        made = Segmenter(build_vad("default"), **arguments)
        for chunk in chunks:
            made.receive(chunk)
        made.finish()
        results.append(made.boundaries_to_send())
    assert results[0] == results[1] != []


def test_endless_doubt_holds_no_audio_back() -> None:
    made = segmenter()
    made.receive(audio("." + "?" * 200))
    assert made.keep_from >= made.position - 200 - 200 - FRAME
    made.receive(audio("SSS......"))
    (start, end), *_ = spans(made.boundaries_to_send())
    assert 20_100 - 400 - FRAME <= start <= 20_100 - 200
    assert end == 20_600


def test_certain_end_allows_for_the_cut_of_a_long_segment() -> None:
    made = segmenter(max_segment=3000)
    script = "S" * 40
    made.receive(audio(script, loudness=dict.fromkeys(range(40), 9000) | {21: 10})[:2900])
    certain = made.certain_end
    made.receive(audio("S" * 11))
    (_, end), *_ = spans(made.boundaries_to_send())
    assert certain is not None
    assert 1900 <= certain <= end < 2800


@pytest.mark.parametrize("before", ["..SS", "..SSSSS", "..SSSSS...", "..SSSSS.......S"])
def test_what_is_discarded_is_never_part_of_a_segment(before: str) -> None:
    made = segmenter()
    made.receive(audio(before)[:-30])
    made.discard()
    here = made.position
    assert (made.open_start, made.keep_from, made.boundaries_to_send()) == (None, here, [])
    made.receive(audio("SSSSS......"))
    assert [start for start, _ in spans(made.boundaries_to_send())] == [here]
