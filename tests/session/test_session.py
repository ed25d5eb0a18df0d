"""The session core driven by hand: audio and results in, jobs and events out, time as an argument."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio.segmenter import Cuts
from hotmic.commands import ClearAudio, Configure, EndAudio, SessionOptions, StartRecording, StopRecording
from hotmic.events import (
    Acknowledged,
    AudioCleared,
    ErrorRaised,
    FinalTranscribed,
    NothingTranscribed,
    PartialTranscribed,
    RecordingStarted,
    RecordingStopped,
    SpeechEnded,
    SpeechStarted,
    WarningRaised,
)
from hotmic.session.state import TRANSITIONS, State, Trigger, diagram
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeResult
from session_support import CHUNK, Bench, loud, quiet


def test_one_utterance_from_first_chunk_to_final() -> None:
    bench = Bench()
    bench.hear(quiet(0.5) + loud(1.0))
    bench.answer()
    assert [type(e) for e in bench.events][:2] == [RecordingStarted, SpeechStarted]
    assert bench.told(PartialTranscribed), "partials come while the speaker speaks"
    assert not bench.told(FinalTranscribed)
    bench.hear(quiet(1.0))
    assert [job.kind for job in bench.jobs][-1] == "final"
    bench.answer("turn on the lights")
    (final,) = bench.told(FinalTranscribed)
    assert isinstance(final, FinalTranscribed)
    assert final.text == "turn on the lights"
    assert final.start == pytest.approx(0.2, abs=0.1)
    assert final.end == pytest.approx(1.7, abs=0.1)
    assert bench.session.is_settled


def test_the_final_job_holds_exactly_the_segment() -> None:
    bench = Bench()
    rng = np.random.default_rng(1)
    speech = rng.integers(2000, 9000, SAMPLE_RATE, dtype=np.int16)
    audio = np.concatenate([np.zeros(SAMPLE_RATE, np.int16), speech, np.zeros(SAMPLE_RATE, np.int16)])
    bench.hear(audio.tobytes())
    final = next(job for job in bench.jobs if job.kind == "final")
    heard = np.frombuffer(final.samples, np.int16)
    assert np.array_equal(heard, audio[final.start : final.start + len(heard)])
    assert speech.tobytes() in final.samples


@given(cuts=st.lists(st.integers(100, 9000), min_size=1, max_size=30))
def test_cuts_between_chunks_do_not_matter(cuts: list[int]) -> None:
    audio = quiet(0.3) + loud(0.8) + quiet(0.8) + loud(0.4) + quiet(0.9)

    def finals(sizes: list[int]) -> list[tuple[int, bytes]]:
        bench, begin, i = Bench(), 0, 0
        while begin < len(audio):
            size = 2 * sizes[i % len(sizes)]
            bench.session.receive_audio(audio[begin : begin + size], now=0.0)
            begin, i = begin + size, i + 1
        bench.drain()
        return [(job.start, job.samples) for job in bench.jobs if job.kind == "final"]

    assert finals(cuts) == finals([CHUNK])


def test_finals_come_in_the_order_of_speech() -> None:
    bench = Bench()
    bench.hear(loud(0.5) + quiet(0.8) + loud(0.5) + quiet(0.8))
    first, second = [job for job in bench.jobs if job.kind == "final"]
    bench.session.receive_result(DecodeResult(job_id=second.job_id, text="two"), now=bench.now)
    bench.drain()
    assert not bench.told(FinalTranscribed)
    bench.session.receive_result(DecodeResult(job_id=first.job_id, text="one"), now=bench.now)
    bench.drain()
    assert [e.text for e in bench.told(FinalTranscribed)] == ["one", "two"]  # type: ignore[attr-defined]


def test_silence_on_the_wire_ends_a_segment() -> None:
    bench = Bench()
    bench.hear(loud(0.7))
    due = bench.session.next_timer()
    assert due == pytest.approx(bench.now + 1.0)
    bench.session.handle_timer(now=bench.now + 0.5)
    bench.drain()
    assert not bench.told(SpeechEnded), "too early"
    bench.session.handle_timer(now=due or 0.0)
    bench.drain()
    assert bench.told(SpeechEnded)
    assert bench.session.next_timer() is None


def test_end_of_audio_finalises_before_it_stops() -> None:
    bench = Bench()
    bench.hear(loud(0.7))
    bench.session.receive_command(EndAudio(), now=bench.now)
    bench.drain()
    assert not bench.told(RecordingStopped), "the final is not told yet"
    bench.answer("last words")
    assert [type(e) for e in bench.events][-2:] == [FinalTranscribed, RecordingStopped]
    bench.hear(loud(0.2))
    assert len(bench.told(RecordingStarted)) == 2, "the next chunk starts the next recording"


def test_after_a_stop_audio_is_ignored_with_one_warning() -> None:
    bench = Bench()
    bench.hear(loud(0.5))
    bench.session.receive_command(StopRecording(), now=bench.now)
    bench.drain()
    bench.answer("said before")
    bench.hear(loud(2.0) + quiet(1.0))
    assert len(bench.told(FinalTranscribed)) == 1
    assert [e.code for e in bench.told(WarningRaised)] == ["paused"]  # type: ignore[attr-defined]
    bench.session.receive_command(StartRecording(), now=bench.now)
    bench.hear(loud(0.5) + quiet(1.0))
    bench.answer("said after")
    assert [e.text for e in bench.told(FinalTranscribed)] == ["said before", "said after"]  # type: ignore[attr-defined]


def test_stop_of_an_idle_session_is_answered() -> None:
    bench = Bench()
    bench.session.receive_command(StopRecording(), now=0.0)
    bench.drain()
    assert [type(e) for e in bench.events] == [RecordingStopped]


def test_a_long_segment_is_decoded_window_by_window_while_it_grows() -> None:
    bench = Bench(max_window=6.0)
    bench.hear(loud(7.0))
    early = [job for job in bench.jobs if job.kind == "final"]
    assert early, "the first window is settled before the speaker stops"
    bench.hear(loud(4.0) + quiet(1.0))
    finals = [job for job in bench.jobs if job.kind == "final"]
    covered = np.zeros(int(12.5 * SAMPLE_RATE), bool)
    for job in finals:
        assert len(job.samples) / 2 <= 6.0 * SAMPLE_RATE
        covered[job.start : job.start + len(job.samples) // 2] = True
    assert covered[: int(11.0 * SAMPLE_RATE)].all()
    bench.answer("words")
    assert len(bench.told(FinalTranscribed)) == 1


@pytest.mark.parametrize("speech", [5.2, 5.4, 5.6, 5.8, 6.0, 6.3, 7.0, 9.9, 11.5])
def test_windows_of_the_final_do_not_depend_on_what_was_settled_early(speech: float) -> None:
    """A segment that ends just after a window was settled loses nothing, and live equals one big chunk."""
    audio = loud(speech) + quiet(1.0)
    live, once = Bench(max_window=6.0), Bench(max_window=6.0)
    live.hear(audio)
    once.session.receive_audio(audio, now=1.0)
    once.drain()
    segment = live.session._segments[0]
    windows = [(w.start, w.stop) for w in segment.windows]
    assert windows == [(w.start, w.stop) for w in once.session._segments[0].windows]
    assert windows[0][0] == segment.start
    assert windows[-1][1] == segment.end
    assert all(later[0] <= earlier[1] for earlier, later in itertools.pairwise(windows))


def test_another_model_decodes_the_open_segment_again() -> None:
    bench = Bench(max_window=6.0)
    bench.hear(loud(7.0))
    assert any(job.kind == "final" for job in bench.jobs)
    bench.jobs.clear()
    bench.session.receive_model("model-b", Capabilities(max_window=28.0))
    bench.hear(quiet(1.0))
    (final,) = [job for job in bench.jobs if job.kind == "final"]
    assert len(final.samples) / 2 > 6.0 * SAMPLE_RATE
    bench.answer("by the new model")
    assert [e.model_id for e in bench.told(FinalTranscribed)] == ["model-b"]  # type: ignore[attr-defined]


def test_a_failed_window_is_told_with_its_place() -> None:
    bench = Bench()
    bench.hear(loud(0.5) + quiet(1.0))
    bench.answer(error_code="engine_failed", error_message="It could not be decoded.")
    (error,) = bench.told(ErrorRaised)
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.start) == ("engine_failed", 0.0)
    assert bench.session.is_settled


def test_no_final_from_non_speech_and_what_was_shown_is_withdrawn() -> None:
    bench = Bench()
    bench.hear(loud(1.0))
    bench.answer("you you")
    assert bench.told(PartialTranscribed)
    bench.hear(quiet(1.0))
    bench.answer("")
    assert not bench.told(FinalTranscribed)
    assert bench.told(PartialTranscribed)[-1].text == ""  # type: ignore[attr-defined]
    assert len(bench.told(NothingTranscribed)) == 1


def test_partials_that_take_longer_than_the_cadence_are_still_shown() -> None:
    """First seen as partials that starved: each result was thrown away because a newer job had been asked for."""
    bench = Bench()
    bench.hear(loud(2.0))
    partials = [job for job in bench.jobs if job.kind == "partial"]
    assert len(partials) >= 4
    for job, text in ((partials[1], "one two"), (partials[0], "one"), (partials[2], "one two three")):
        bench.session.receive_result(DecodeResult(job_id=job.job_id, text=text), now=bench.now)
    bench.drain()
    shown = [e.text for e in bench.told(PartialTranscribed)]  # type: ignore[attr-defined]
    assert shown == ["one two", "one two three"], "a result that was overtaken is not shown"


def test_a_late_partial_of_a_closed_segment_says_nothing() -> None:
    bench = Bench()
    bench.hear(loud(1.0))
    late = [job for job in bench.jobs if job.kind == "partial"][-1]
    bench.hear(quiet(1.0))
    bench.session.receive_result(DecodeResult(job_id=late.job_id, text="late"), now=bench.now)
    bench.drain()
    assert not bench.told(PartialTranscribed)


def test_other_rates_are_resampled() -> None:
    bench = Bench()
    t = np.arange(48_000) / 48_000
    tone = (8000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16)
    bench.session.receive_audio(tone.tobytes(), now=1.0, sample_rate=48_000)
    bench.session.receive_command(EndAudio(), now=1.0)
    bench.drain()
    (final,) = [job for job in bench.jobs if job.kind == "final"]
    assert len(final.samples) / 2 == pytest.approx(SAMPLE_RATE, abs=700)


def test_bad_audio_is_an_error_and_nothing_else() -> None:
    bench = Bench()
    bench.session.receive_audio(b"\0\0\0", now=0.0)
    bench.drain()
    assert [e.code for e in bench.told(ErrorRaised)] == ["bad_audio"]  # type: ignore[attr-defined]
    assert not bench.told(RecordingStarted)


def test_a_full_ring_is_told_once_and_memory_is_bounded() -> None:
    bench = Bench(ring=10.0)
    bench.hear(loud(14.0))
    assert [e.code for e in bench.told(ErrorRaised)] == ["ring_full"]  # type: ignore[attr-defined]
    assert not bench.session.has_room(0.1)


def test_silence_for_long_is_warned_about_once() -> None:
    bench = Bench()
    bench.hear(quiet(25.0))
    assert [e.code for e in bench.told(WarningRaised)] == ["no_speech"]  # type: ignore[attr-defined]


def test_a_speaker_that_leaves_in_mid_word_is_still_heard() -> None:
    bench = Bench()
    bench.hear(loud(0.6))
    bench.session.receive_close(now=bench.now)
    bench.drain()
    assert not bench.session.is_finished
    bench.answer("half a")
    assert [e.text for e in bench.told(FinalTranscribed)] == ["half a"]  # type: ignore[attr-defined]
    assert bench.session.is_finished


def test_what_is_cleared_gets_no_text_and_the_recording_goes_on() -> None:
    bench = Bench()
    bench.hear(loud(0.5) + quiet(1.0) + loud(0.5) + quiet(1.0))
    first, second = [job for job in bench.jobs if job.kind == "final"]
    bench.session.receive_result(DecodeResult(job_id=first.job_id, text="told"), now=bench.now)
    bench.hear(loud(1.0))
    bench.session.receive_command(ClearAudio(), now=bench.now)
    bench.drain()
    (cleared,) = bench.told(AudioCleared)
    assert isinstance(cleared, AudioCleared)
    assert len(cleared.segment_ids) == 2
    assert bench.session.is_settled
    assert bench.session._ring.begin == bench.session._ring.end, "no audio is kept"
    bench.jobs.clear()
    bench.session.receive_result(DecodeResult(job_id=second.job_id, text="late"), now=bench.now)
    bench.hear(quiet(0.1) + loud(0.5) + quiet(1.0))
    final = bench.jobs[-1]
    assert final.start >= cleared_at(bench), "the pre-roll does not reach into what was cleared"
    bench.answer("said after")
    assert [e.text for e in bench.told(FinalTranscribed)] == ["told", "said after"]  # type: ignore[attr-defined]
    assert len(bench.told(RecordingStarted)) == 1


def cleared_at(bench: Bench) -> int:
    return int((0.5 + 1.0 + 0.5 + 1.0 + 1.0) * SAMPLE_RATE)


def test_what_was_shown_of_cleared_speech_is_withdrawn() -> None:
    bench = Bench()
    bench.hear(loud(1.0))
    bench.answer("oh no")
    bench.session.receive_command(ClearAudio(), now=bench.now)
    bench.drain()
    assert [type(e) for e in bench.events][-2:] == [PartialTranscribed, AudioCleared]
    assert bench.told(PartialTranscribed)[-1].text == ""  # type: ignore[attr-defined]


def test_clearing_leaves_what_ended_where_that_is_wished() -> None:
    bench = Bench()
    bench.hear(loud(0.5) + quiet(1.0) + loud(0.5))
    bench.session.receive_command(ClearAudio(keeps_ended=True), now=bench.now)
    bench.drain()
    assert len(bench.told(AudioCleared)[0].segment_ids) == 1  # type: ignore[attr-defined]
    bench.hear(quiet(1.0))
    bench.answer("it ended")
    assert [e.text for e in bench.told(FinalTranscribed)] == ["it ended"]  # type: ignore[attr-defined]


def test_clearing_leaves_recordings_that_ended() -> None:
    bench = Bench()
    bench.hear(loud(0.5))
    bench.session.receive_command(EndAudio(), now=bench.now)
    bench.session.receive_command(ClearAudio(), now=bench.now)
    bench.hear(loud(0.5))
    bench.session.receive_command(ClearAudio(), now=bench.now)
    bench.drain()
    bench.answer("committed")
    assert [len(e.segment_ids) for e in bench.told(AudioCleared)] == [0, 1]  # type: ignore[attr-defined]
    assert [e.text for e in bench.told(FinalTranscribed)] == ["committed"]  # type: ignore[attr-defined]
    assert len(bench.told(RecordingStopped)) == 1


def test_chunks_that_were_cleared_are_settled() -> None:
    bench = Bench()
    for seq in range(8):
        bench.session.receive_audio(loud(0.1), now=0.0, seq=seq)
    bench.session.receive_command(ClearAudio(), now=0.0)
    bench.drain()
    assert [e.seq for e in bench.told(Acknowledged)] == [7]  # type: ignore[attr-defined]
    assert bench.session.next_seq == 8


def test_options_reach_the_jobs() -> None:
    bench = Bench()
    options = SessionOptions(language="th", hotwords=("hotmic",), prompt="a meeting", beam=2)
    bench.session.receive_command(Configure(options=options), now=0.0)
    bench.session.receive_command(Configure(options=SessionOptions(language="")), now=0.0)
    bench.hear(loud(0.5) + quiet(1.0))
    decode = bench.jobs[-1].options
    assert (decode.language, decode.hotwords, decode.prompt, decode.beam) == (None, ("hotmic",), "a meeting", 2)


def test_wishes_about_cuts_are_taken_up_between_segments() -> None:
    bench = Bench()
    wished: list[Cuts] = []
    build = bench.session._build_segmenter
    bench.session._build_segmenter = lambda cuts: wished.append(cuts) or build(cuts)  # type: ignore[func-returns-value]
    bench.hear(loud(0.5))
    bench.session.receive_command(Configure(options=SessionOptions(min_silence_ms=300)), now=bench.now)
    bench.session.receive_command(Configure(options=SessionOptions(vad_threshold=0.7)), now=bench.now)
    assert wished == []
    bench.hear(quiet(1.0))
    assert wished == [Cuts(min_silence_ms=300, vad_threshold=0.7)]


def test_every_state_takes_every_trigger_until_it_is_closed() -> None:
    for state in set(State) - {State.CLOSED}:
        for trigger in Trigger:
            assert (state, trigger) in TRANSITIONS
    assert diagram().count("-->") == len(TRANSITIONS) + 2
    assert diagram() in (Path(__file__).parents[2] / "docs" / "design.md").read_text("utf-8"), "the docs are stale"


@given(
    steps=st.lists(
        st.sampled_from(["loud", "quiet", "start", "stop", "end", "clear", "answer", "timer", "model"]), max_size=40
    )
)
def test_any_order_of_things_loses_no_stop_and_no_memory(steps: list[str]) -> None:
    bench, models = Bench(ring=10.0), 0
    for step in steps:
        match step:
            case "loud":
                bench.hear(loud(0.7))
            case "quiet":
                bench.hear(quiet(0.7))
            case "start":
                bench.session.receive_command(StartRecording(), now=bench.now)
            case "stop":
                bench.session.receive_command(StopRecording(), now=bench.now)
            case "end":
                bench.session.receive_command(EndAudio(), now=bench.now)
            case "clear":
                bench.session.receive_command(ClearAudio(keeps_ended=bool(models % 2)), now=bench.now)
            case "answer":
                bench.drain()
                bench.answer()
            case "timer":
                bench.now += 1.5
                bench.session.handle_timer(now=bench.now)
            case "model":
                models += 1
                bench.session.receive_model(f"model-{models}", Capabilities(max_window=10.0))
        bench.drain()
    bench.session.receive_close(now=bench.now)
    bench.drain()
    bench.answer()
    assert bench.session.is_finished
    expected = sum(step in ("stop", "end") for step in steps)
    assert len(bench.told(RecordingStopped)) == expected
