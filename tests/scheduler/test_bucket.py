from hotmic.scheduler.bucket import bucket
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, DecodeOptions

PLAIN = DecodeOptions()


def job(
    seconds: float = 1.0, *, kind: DecodeKind = "partial", previous: str = "", options: DecodeOptions = PLAIN
) -> DecodeJob:
    return DecodeJob(
        job_id="1",
        session_id="a",
        segment_id="a-1",
        kind=kind,
        samples=bytes(int(seconds * SAMPLE_RATE) * 2),
        start=0,
        deadline=0.0,
        options=options,
        previous=previous,
    )


def test_windows_round_up_with_their_margin() -> None:
    sizes = [bucket(job(seconds)).seconds for seconds in (0.4, 0.9, 4.9, 4.95, 31.0)]
    assert sizes == [1.0, 1.0, 5.0, 10.0, 30.0]


def test_languages_share_a_batch_and_tasks_do_not() -> None:
    thai = job(options=DecodeOptions(language="th"))
    assert bucket(thai) == bucket(job())
    assert bucket(job(options=DecodeOptions(task="translate"))) != bucket(job())


def test_the_beam_matters_for_finals_alone() -> None:
    wide = DecodeOptions(beam=9)
    assert bucket(job(options=wide)) == bucket(job())
    assert bucket(job(kind="final", options=wide)) != bucket(job(kind="final"))


def test_alternatives_matter_for_finals_alone() -> None:
    more = DecodeOptions(alternatives=2)
    assert bucket(job(options=more)) == bucket(job())
    assert bucket(job(kind="final", options=more)) != bucket(job(kind="final"))


def test_prompts_of_about_one_length_share_a_batch() -> None:
    hotwords = DecodeOptions(prompt="Tea.", hotwords=("latte", "mocha"))
    assert [bucket(j).prompt for j in (job(), job(options=hotwords), job(previous="x" * 100))] == [0, 64, 160]
    assert bucket(job(previous="x" * 161)).prompt > 160
