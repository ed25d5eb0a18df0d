"""Whisper on CTranslate2, batched across sessions.

One encoder pass and one decoder pass per batch. The encoder sees the window's bucket instead of 30 s, and its output
is used for language, text and word times alike. Rows depend on their own audio and options alone, never on which rows
they share a batch with.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hotmic.config.model import ModelSpec
from hotmic.engines import alignment, guard, window
from hotmic.engines.mel import FRAMES_PER_SECOND, MelBank
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeKind, DecodeResult, Samples, Task, Word

CONTEXT = 448
"""Positions of the decoder."""

# The standard library's logger: structlog would cost each start of a worker 0.1 s.
log = logging.getLogger(__name__)


class Row(NamedTuple):
    """One job on its way through a batch."""

    index: int
    job: DecodeJob
    samples: Samples
    previous: list[int]

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.samples) / SAMPLE_RATE


class Shape(NamedTuple):
    """What the rows of one batch have in common."""

    frames: int
    kind: DecodeKind
    task: Task
    beam: int
    prompt_length: int


class WhisperEngine:
    """A CTranslate2 Whisper model.

    Args:
        spec: Its entry in the registry.
        directory: Holds ``model.bin``, ``config.json``, the vocabulary and ``tokenizer.json``.
        device: ``cpu`` or ``cuda``.
        compute_type: A number format the device supports.
        threads: CPU threads of one batch.
        batch_size: Most rows of one batch; longer lists are cut.
        num_workers: Batches CTranslate2 runs at a time.

    Raises:
        EngineFailed: The directory holds no such model.
    """

    def __init__(
        self,
        spec: ModelSpec,
        directory: Path,
        *,
        device: str,
        compute_type: str,
        threads: int,
        batch_size: int,
        num_workers: int,
    ) -> None:
        import ctranslate2

        self._spec, self._batch_size, self._device = spec, batch_size, device
        self._storage = ctranslate2.StorageView.from_array
        try:
            self._model = ctranslate2.models.Whisper(
                str(directory),
                device=device,
                compute_type=compute_type,
                intra_threads=threads,
                inter_threads=num_workers,
            )
        except (RuntimeError, ValueError) as error:
            log.error("Loading %s failed: %s", directory, error)
            raise EngineFailed(f"The weights of {spec.id} cannot be loaded; the log has the reason.") from error
        self._vocabulary = Vocabulary(directory / "tokenizer.json", multilingual=self._model.is_multilingual)
        self._mel = MelBank(self._model.n_mels)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        known = tuple(self._vocabulary.languages)
        declared = self._spec.languages
        return Capabilities(
            languages=known if declared == ("multilingual",) else declared,
            tasks=("transcribe", "translate") if self._vocabulary.multilingual else ("transcribe",),
            max_window=self._spec.max_window_s,
            batch=self._batch_size,
        )

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Decode noise in every bucket; on a CPU one is enough, for nothing is allocated or compiled per shape."""
        sizes = [size for size in window.BUCKETS if size >= self._spec.min_window_s] or [window.BUCKETS[-1]]
        sizes = sizes if self._device == "cuda" else sizes[:1]
        noise = np.random.default_rng(0).normal(0, 300, round(sizes[-1] * SAMPLE_RATE)).astype("<i2")
        kinds: tuple[DecodeKind, ...] = ("partial", "final")
        for done, size in enumerate(sizes, start=1):
            for kind in kinds:
                self.decode([_noise_job(noise[: round(size * SAMPLE_RATE)], kind)])
            report(done / len(sizes))

    def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode windows: one result per job, in order."""
        started = time.monotonic()
        results: dict[int, DecodeResult] = {}
        for shape, rows in self._group(jobs, results).items():
            for first in range(0, len(rows), self._batch_size):
                self._decode_batch(shape, rows[first : first + self._batch_size], results)
        spent = time.monotonic() - started
        return [_replace_time(results[index], spent) for index in range(len(jobs))]

    def _group(self, jobs: Sequence[DecodeJob], results: dict[int, DecodeResult]) -> dict[Shape, list[Row]]:
        groups: dict[Shape, list[Row]] = {}
        for index, job in enumerate(jobs):
            samples = window.samples_of(job)
            if len(samples) < window.SHORTEST:
                results[index] = DecodeResult(job_id=job.job_id, language=self._language_of(job) or "")
                continue
            previous = self._vocabulary.previous_text(_context(job))
            shape = Shape(
                frames=window.bucket_frames(len(samples), floor=self._spec.min_window_s, n_mels=self._mel.n_mels),
                kind=job.kind,
                task=job.options.task,
                beam=1 if job.kind == "partial" else job.options.beam or self._spec.beam,
                prompt_length=len(previous),
            )
            groups.setdefault(shape, []).append(Row(index, job, samples, previous))
        return groups

    def _decode_batch(self, shape: Shape, rows: list[Row], results: dict[int, DecodeResult]) -> None:
        try:
            for row, result in zip(rows, self._decode_rows(shape, rows), strict=True):
                results[row.index] = result
        except (RuntimeError, ValueError, EngineFailed) as error:
            # CTranslate2 raises these; one bad row fails the batch, so each gets a try of its own.
            if len(rows) > 1:
                log.warning("A batch of %d failed and is decoded row by row: %s", len(rows), error)
                for row in rows:
                    self._decode_batch(shape, [row], results)
                return
            log.error("Job %s failed: %s", rows[0].job.job_id, error)
            known = isinstance(error, EngineFailed)
            message = str(error) if known else "The window could not be decoded; the log has the reason."
            results[rows[0].index] = DecodeResult(
                job_id=rows[0].job.job_id, error_code=EngineFailed.code, error_message=message
            )

    def _decode_rows(self, shape: Shape, rows: list[Row]) -> list[DecodeResult]:
        features = self._features(shape, rows)
        encoded = self._model.encode(self._storage(features))
        languages = self._languages(rows, encoded)
        starts = [self._vocabulary.start_sequence(code, shape.task) for code in languages]
        generated = self._generate(shape, rows, encoded, starts)
        hypotheses = [
            self._hypothesis(row, code, item) for row, code, item in zip(rows, languages, generated, strict=True)
        ]
        verdicts = [guard.judge(hypothesis) for hypothesis in hypotheses]
        if shape.kind == "final":
            self._decode_loops(shape, rows, features, starts, hypotheses, verdicts)
        words = self._align(rows, features, encoded, starts, hypotheses, verdicts)
        return [
            DecodeResult(
                job_id=row.job.job_id,
                text="" if verdict else hypothesis.text,
                words=placed,
                language=hypothesis.language,
                no_speech_probability=hypothesis.no_speech_probability,
                average_logprob=hypothesis.average_logprob,
                suppressed=verdict,
            )
            for row, hypothesis, verdict, placed in zip(rows, hypotheses, verdicts, words, strict=True)
        ]

    def _features(self, shape: Shape, rows: list[Row]) -> Any:
        # Padding is the feature value 0, as the models were trained with, not the mel of silence.
        features = np.zeros((len(rows), self._mel.n_mels, shape.frames), dtype=np.float32)
        for target, row in zip(features, rows, strict=True):
            mel = self._mel.features(row.samples[: shape.frames * SAMPLE_RATE // FRAMES_PER_SECOND])
            target[:, : mel.shape[1]] = mel
        return features

    def _languages(self, rows: list[Row], encoded: Any) -> list[str]:
        chosen = [self._language_of(row.job) for row in rows]
        if all(chosen):
            return [code for code in chosen if code]
        allowed = set(self.capabilities.languages)
        detected = self._model.detect_language(encoded)
        return [
            code or next(token[2:-2] for token, _ in ranked if token[2:-2] in allowed)
            for code, ranked in zip(chosen, detected, strict=True)
        ]

    def _language_of(self, job: DecodeJob) -> str | None:
        if not self._vocabulary.multilingual:
            return "en"
        if job.options.language:
            return job.options.language
        declared = self._spec.languages
        return declared[0] if len(declared) == 1 and declared != ("multilingual",) else None

    def _generate(self, shape: Shape, rows: list[Row], encoded: Any, starts: list[list[int]], **extra: Any) -> Any:
        prompts = [
            [*row.previous, *start, self._vocabulary.no_timestamps] for row, start in zip(rows, starts, strict=True)
        ]
        prompt = len(prompts[0])
        code = self.capabilities.languages[0]
        cap = min(CONTEXT - prompt, guard.token_limit(shape.frames / FRAMES_PER_SECOND, code) + 1)
        return self._model.generate(
            encoded,
            prompts,
            beam_size=shape.beam,
            # CTranslate2 stops at half of this and counts the prompt.
            max_length=max(2 * cap, cap + prompt),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=[-1] if shape.kind == "final" else [],
            **extra,
        )

    def _hypothesis(self, row: Row, language: str, item: Any) -> guard.Hypothesis:
        tokens = self._vocabulary.text_tokens(item.sequences_ids[0])
        # The score is the mean over the tokens, the closing one not counted; the average counts it.
        mean = item.scores[0] * len(item.sequences_ids[0]) / (len(item.sequences_ids[0]) + 1)
        return guard.Hypothesis(
            tokens=tuple(tokens),
            text=self._vocabulary.decode(tokens).strip(),
            seconds=row.seconds,
            language=language,
            no_speech_probability=item.no_speech_prob,
            average_logprob=mean if math.isfinite(mean) else 0.0,
            speech_probability=row.job.speech_probability,
        )

    def _decode_loops(
        self,
        shape: Shape,
        rows: list[Row],
        features: Any,
        starts: list[list[int]],
        hypotheses: list[guard.Hypothesis],
        verdicts: list[guard.Guard],
    ) -> None:
        """Give finals that ran in circles one more try in which no four tokens may come twice."""
        again = [i for i, verdict in enumerate(verdicts) if verdict in ("loop", "token_rate")]
        if not again:
            return
        encoded = self._model.encode(self._storage(np.ascontiguousarray(features[again])))
        chosen = [rows[i] for i in again]
        items = self._generate(shape, chosen, encoded, [starts[i] for i in again], no_repeat_ngram_size=4)
        for i, item in zip(again, items, strict=True):
            hypothesis = self._hypothesis(rows[i], hypotheses[i].language, item)
            if not guard.judge(hypothesis):
                hypotheses[i], verdicts[i] = hypothesis, ""

    def _align(
        self,
        rows: list[Row],
        features: Any,
        encoded: Any,
        starts: list[list[int]],
        hypotheses: list[guard.Hypothesis],
        verdicts: list[guard.Guard],
    ) -> list[tuple[Word, ...]]:
        words: list[tuple[Word, ...]] = [()] * len(rows)
        wanted = [i for i, row in enumerate(rows) if row.job.word_times and hypotheses[i].tokens and not verdicts[i]]
        if not wanted:
            return words
        aligned = self._align_rows(wanted, rows, features, encoded, starts, hypotheses)
        for i, item in zip(wanted, aligned, strict=True):
            pieces = self._vocabulary.split_words(hypotheses[i].tokens, hypotheses[i].language)
            words[i] = alignment.words_of(
                pieces, path=item.alignments, probabilities=item.text_token_probs, seconds=rows[i].seconds
            )
        return words

    def _align_rows(
        self,
        wanted: list[int],
        rows: list[Row],
        features: Any,
        encoded: Any,
        starts: list[list[int]],
        hypotheses: list[guard.Hypothesis],
    ) -> list[Any]:
        texts = [list(hypotheses[i].tokens) for i in wanted]
        frames = [min(features.shape[2], len(rows[i].samples) * FRAMES_PER_SECOND // SAMPLE_RATE) for i in wanted]
        one_start = all(starts[i] == starts[wanted[0]] for i in wanted)
        # Rows of equal frames and unequal texts come out wrong from one call (CTranslate2 4.8).
        confused = len({count // 2 for count in frames}) == 1 and len({len(text) for text in texts}) > 1
        if len(wanted) == len(rows) and one_start and not confused:
            return list(self._model.align(encoded, starts[0], texts, frames))
        aligned = []
        for i, text, count in zip(wanted, texts, frames, strict=True):
            single = self._storage(np.ascontiguousarray(features[i : i + 1]))
            aligned += self._model.align(single, starts[i], [text], [count])
        return aligned


def _context(job: DecodeJob) -> str:
    # Hotwords are words that were, as it were, just said (Whisper prompting guide).
    return " ".join(part for part in (", ".join(job.options.hotwords), job.options.prompt) if part)


def _noise_job(samples: Samples, kind: DecodeKind) -> DecodeJob:
    return DecodeJob(
        job_id="warm-up",
        session_id="",
        segment_id="",
        kind=kind,
        samples=samples.tobytes(),
        start=0,
        deadline=0.0,
        word_times=kind == "final",
    )


def _replace_time(result: DecodeResult, spent: float) -> DecodeResult:
    import msgspec

    return msgspec.structs.replace(result, decode_s=spent)
