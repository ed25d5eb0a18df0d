"""Windows of long segments: what is settled early, what partials begin behind, and whose answer it was."""

import pytest

from hotmic.commands import Configure, EndAudio, SessionOptions, StartRecording, StopRecording
from hotmic.events import FinalTranscribed, PartialTranscribed
from hotmic.session.session import Session
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult, Samples
from session_support import Bench, LoudVad, loud, quiet


class DoubtfulVad(LoudVad):
    """Half sure of what is loud."""

    def probabilities(self, samples: Samples) -> list[float]:
        return [0.5 * probability for probability in super().probabilities(samples)]


def finals(bench: Bench) -> list[DecodeJob]:
    return [job for job in bench.jobs if job.kind == "final"]


def answer(bench: Bench, job: DecodeJob, text: str) -> None:
    bench.session.receive_result(DecodeResult(job_id=job.job_id, text=text), now=bench.now)
    bench.drain()


@pytest.mark.parametrize("speech", [5.0, 7.0, 13.0])
def test_jobs_of_a_final_depend_on_the_audio_alone(speech: float) -> None:
    audio = quiet(1.0) + loud(speech) + quiet(1.0)
    live, once = (Bench(max_window=6.0, vad=DoubtfulVad) for _ in range(2))
    for bench in (live, once):
        bench.session.receive_command(Configure(options=SessionOptions(denoise="on")), now=0.0)
    live.hear(audio)
    once.session.receive_audio(audio, now=1.0)
    once.drain()
    told = [[(j.start, j.samples, j.noise, j.speech_probability) for j in finals(bench)] for bench in (live, once)]
    assert told[0] == told[1]
    assert finals(live)[0].speech_probability == (0.5 if speech == 5.0 else 1.0)


@pytest.mark.parametrize("pause_after", [None, 1.0])
def test_finals_of_a_model_for_short_windows_name_their_pauses(pause_after: float | None) -> None:
    bench = Bench()
    bench.session.receive_model("model-b", Capabilities(max_window=7.0, pause_after=pause_after))
    bench.hear(quiet(1.0) + loud(3.0) + quiet(0.2) + loud(2.0) + quiet(1.0))
    (final,) = finals(bench)
    said = [(final.start + pause.middle) / SAMPLE_RATE for pause in final.pauses]
    assert said == ([] if pause_after is None else [pytest.approx(4.1, abs=0.02)])
    assert not any(job.pauses for job in bench.jobs if job.kind == "partial")


def test_partials_go_on_behind_a_window_without_text() -> None:
    bench = Bench(max_window=6.0)
    bench.hear(loud(7.0))
    (settled,) = finals(bench)
    answer(bench, settled, "")
    bench.jobs.clear()
    bench.hear(loud(2.0))
    partials = [job for job in bench.jobs if job.kind == "partial"]
    assert {job.start for job in partials} == {settled.start + len(settled.samples) // 2}
    assert partials[-1].start + len(partials[-1].samples) // 2 == int(9.0 * SAMPLE_RATE)


def test_partials_do_not_skip_a_window_that_is_not_answered() -> None:
    bench = Bench(max_window=6.0)
    bench.hear(loud(13.0))
    first, second, *_ = finals(bench)
    answer(bench, second, "second")
    bench.jobs.clear()
    bench.hear(loud(1.0))
    assert not [job for job in bench.jobs if job.previous]
    answer(bench, first, "first")
    bench.hear(loud(1.0))
    assert [job for job in bench.jobs if job.kind == "partial"][-1].previous == "first second"


def test_a_window_that_waits_is_asked_for_once_and_its_text_is_told_with_its_age() -> None:
    bench = Bench(max_window=6.0)
    bench.hear(loud(10.0))
    full = [job for job in bench.jobs if job.kind == "partial" and len(job.samples) == 12 * SAMPLE_RATE]
    assert len(full) == 1
    answer(bench, full[0], "what was said until then")
    (partial,) = [event for event in bench.told(PartialTranscribed) if isinstance(event, PartialTranscribed)]
    assert partial.lag == pytest.approx(4.0, abs=0.2)


def test_a_closed_session_takes_no_command_and_still_tells_its_final() -> None:
    bench = Bench()
    bench.hear(loud(1.0))
    bench.session.receive_close(now=bench.now)
    for command in (EndAudio(), StopRecording(), StartRecording()):
        bench.session.receive_command(command, now=bench.now)
    bench.drain()
    bench.answer("the last words")
    assert [event.text for event in bench.told(FinalTranscribed) if isinstance(event, FinalTranscribed)]
    assert bench.session.is_finished


def test_another_vad_waits_until_nothing_is_about_to_begin() -> None:
    starts = []
    for changed in (False, True):
        bench = Bench()
        bench.session.receive_audio(quiet(1.0) + loud(0.05), now=1.0)
        if changed:
            bench.session.receive_command(Configure(options=SessionOptions(vad="energy")), now=1.0)
        bench.hear(loud(1.0) + quiet(1.0))
        starts.append(finals(bench)[0].start)
    assert starts[0] == starts[1]


def test_a_final_names_the_model_that_was_asked() -> None:
    bench = Bench()
    session: Session = bench.session
    bench.hear(loud(1.0) + quiet(1.0))
    (job,) = finals(bench)
    session.receive_model("model-b", Capabilities(max_window=28.0))
    session.receive_result(DecodeResult(job_id=job.job_id, text="words", model_id="model-a"), now=bench.now)
    bench.drain()
    assert [event.model_id for event in bench.told(FinalTranscribed) if isinstance(event, FinalTranscribed)] == [
        "model-a"
    ]
