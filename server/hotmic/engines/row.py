"""One job on its way through a Whisper engine: what every such library needs before and after it decodes."""

from typing import NamedTuple

import numpy as np

from hotmic.config.model import ModelSpec
from hotmic.engines.fallback import Reading
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed, HotmicError
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeResult, Samples, Word

SHORTEST = SAMPLE_RATE // 10
"""Fewer samples than this hold no word."""

UNTOLD = "The window could not be decoded; the log has the reason."
"""What a peer hears of an exception that is none of ours."""


class Row(NamedTuple):
    """One job, read."""

    place: int
    """Where its result belongs."""
    job: DecodeJob
    samples: Samples
    previous: list[int]
    """Tokens before the start token."""
    language: str | None
    """``None``: to be detected."""

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.samples) / SAMPLE_RATE


def read_row(place: int, job: DecodeJob, *, spec: ModelSpec, vocabulary: Vocabulary) -> Row:
    """Check a job and turn it into samples and tokens.

    Raises:
        EngineFailed: The model does not know its language or task, or its audio is no PCM16.
    """
    if len(job.samples) % 2:
        raise EngineFailed("The audio has half a sample.")
    language = _language_of(job, spec, vocabulary)
    # Raises for what the model does not know, before the job shares a batch with others.
    vocabulary.start_sequence(language or next(iter(vocabulary.languages)), job.options.task)
    # Hotwords go in as if they had just been said: the decoder prefers what its prompt holds.
    # What was said before goes to partials alone: a final depends on its own audio and options.
    said = job.previous if job.kind == "partial" else ""
    previous = vocabulary.previous_text(job.options.prompt, hotwords=job.options.hotwords, said=said)
    return Row(place, job, _samples_of(job), previous, language)


def result_of(row: Row, reading: Reading, words: tuple[Word, ...]) -> DecodeResult:
    """Return what a row came to."""
    hypothesis, verdict, others = reading
    return DecodeResult(
        job_id=row.job.job_id,
        text="" if verdict else hypothesis.text,
        words=() if verdict else words,
        language=hypothesis.language,
        language_probability=hypothesis.language_probability,
        alternatives=() if verdict else others[: row.job.options.alternatives],
        no_speech_probability=hypothesis.no_speech_probability,
        average_logprob=hypothesis.average_logprob,
        tokens=len(hypothesis.tokens) + 1,
        suppressed=verdict,
    )


def failure_of(job: DecodeJob, error: Exception) -> DecodeResult:
    """Return that a row failed; only our own sentences reach a peer."""
    message = error.message if isinstance(error, HotmicError) else UNTOLD
    return DecodeResult(job_id=job.job_id, error_code=EngineFailed.code, error_message=message)


def _language_of(job: DecodeJob, spec: ModelSpec, vocabulary: Vocabulary) -> str | None:
    if not vocabulary.multilingual:
        return "en"
    if job.options.language:
        return job.options.language
    return spec.languages[0] if len(spec.languages) == 1 and spec.languages != ("multilingual",) else None


def _samples_of(job: DecodeJob) -> Samples:
    samples = np.frombuffer(job.samples, dtype="<i2")
    if job.options.denoise == "off" or not job.noise:
        return samples
    # Imported where it is needed: most workers never denoise, and the first time takes seconds.
    from hotmic.audio.denoise import reduce_noise

    noise = np.frombuffer(job.noise[: len(job.noise) // 2 * 2], dtype="<i2")
    return reduce_noise(samples, noise, mode=job.options.denoise)
