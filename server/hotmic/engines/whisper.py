"""Whisper on CTranslate2, batched across sessions.

One encoder pass and one decoder pass per batch. The encoder sees the window's bucket instead of 30 s, and its output
is used for language, text and word times alike. Rows depend on their own audio and options alone, never on which rows
they share a batch with.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hotmic.config.model import ModelSpec
from hotmic.engines import alignment, guard, window
from hotmic.engines.mel import FRAMES_PER_SECOND, Float32, MelBank
from hotmic.engines.row import SHORTEST, Row, failure_of, read_row, result_of
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeKind, DecodeResult, Samples, Task, Word

CONTEXT = 448
"""Positions of the decoder."""
SMALL_WEIGHTS = 100 << 20
"""Below this a CPU is better used by batches side by side than by threads within one."""

# The standard library's logger: structlog would cost each start of a worker 0.1 s.
log = logging.getLogger(__name__)


class Shape(NamedTuple):
    """What the rows of one batch have in common."""

    frames: int
    kind: DecodeKind
    task: Task
    beam: int
    prompt_length: int
    dense: bool
    """Whether the language may need many tokens a second."""


class Batch(NamedTuple):
    """Rows that are decoded together, and what is known of them before that."""

    shape: Shape
    rows: list[Row]
    features: Float32
    encoded: Any
    languages: list[str]
    starts: list[list[int]]


class WhisperEngine:
    """A CTranslate2 Whisper model.

    Args:
        spec: Its entry in the registry.
        directory: Holds ``model.bin``, ``config.json``, the vocabulary and ``tokenizer.json``.
        device: ``cpu`` or ``cuda``.
        compute_type: A number format the device supports.
        threads: CPU cores it may use.
        batch_size: Most rows of one batch; longer lists are cut.
        num_workers: Batches the model runs at a time on a GPU; on a CPU that follows from ``threads``.

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
        small = sum(file.stat().st_size for file in directory.glob("model*.bin")) < SMALL_WEIGHTS
        self._lanes = num_workers if device == "cuda" else threads if small else 1
        try:
            self._model = ctranslate2.models.Whisper(
                str(directory),
                device=device,
                compute_type=compute_type,
                inter_threads=self._lanes,
                intra_threads=max(1, threads // self._lanes),
            )
        except (RuntimeError, ValueError) as error:
            log.error("Loading %s failed: %s", directory, error)
            raise EngineFailed(f"The weights of {spec.id} cannot be loaded; the log has the reason.") from error
        self._vocabulary = Vocabulary.load(directory, multilingual=self._model.is_multilingual)
        self._mel = MelBank(self._model.n_mels)
        self._executor = ThreadPoolExecutor(self._lanes, thread_name_prefix="lane")
        known = tuple(self._vocabulary.languages)
        self._languages = known if spec.languages == ("multilingual",) else spec.languages
        self._maybe_dense = any(guard.is_dense(code) for code in self._languages)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return Capabilities(
            languages=self._languages,
            tasks=("transcribe", "translate") if self._vocabulary.multilingual else ("transcribe",),
            max_window=self._spec.max_window_s,
            batch=self._batch_size,
        )

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Decode noise in every bucket; on a CPU one is enough, for nothing is allocated or compiled per shape."""
        sizes = window.bucket_sizes(self._spec.min_window_s)
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
        batches = list(self._batches(self._group(jobs, results)))
        # The inference library releases the interpreter; one batch needs no thread.
        run = map if len(batches) < 2 or self._lanes < 2 else self._executor.map
        for done in run(self._decode_batch, *zip(*batches, strict=True)) if batches else ():
            results.update(done)
        spent = time.monotonic() - started
        return [msgspec.structs.replace(results[place], decode_s=spent) for place in range(len(jobs))]

    def _group(self, jobs: Sequence[DecodeJob], results: dict[int, DecodeResult]) -> dict[Shape, list[Row]]:
        groups: dict[Shape, list[Row]] = {}
        for place, job in enumerate(jobs):
            try:
                row = read_row(place, job, spec=self._spec, vocabulary=self._vocabulary)
            except EngineFailed as error:
                log.warning("Job %s was refused: %s", job.job_id, error)
                results[place] = failure_of(job, error)
                continue
            if len(row.samples) < SHORTEST:
                results[place] = DecodeResult(job_id=job.job_id, language=row.language or "")
            else:
                groups.setdefault(self._shape(row), []).append(row)
        return groups

    def _shape(self, row: Row) -> Shape:
        return Shape(
            frames=window.bucket_frames(len(row.samples), floor=self._spec.min_window_s, n_mels=self._mel.n_mels),
            kind=row.job.kind,
            task=row.job.options.task,
            beam=1 if row.job.kind == "partial" else row.job.options.beam or self._spec.beam,
            prompt_length=len(row.previous),
            dense=self._maybe_dense if row.language is None else guard.is_dense(row.language),
        )

    def _batches(self, groups: dict[Shape, list[Row]]) -> Iterable[tuple[Shape, list[Row]]]:
        for shape, rows in groups.items():
            size = self._batch_size if self._device == "cuda" else math.ceil(len(rows) / self._lanes)
            for first in range(0, len(rows), min(size, self._batch_size)):
                yield shape, rows[first : first + min(size, self._batch_size)]

    def _decode_batch(self, shape: Shape, rows: list[Row]) -> list[tuple[int, DecodeResult]]:
        try:
            return [(row.place, result) for row, result in zip(rows, self._decode_rows(shape, rows), strict=True)]
        except (RuntimeError, ValueError) as error:
            # CTranslate2 raises these; one bad row fails the batch, so each gets a try of its own.
            if len(rows) > 1:
                log.warning("A batch of %d failed and is decoded row by row: %s", len(rows), error)
                return [done for row in rows for done in self._decode_batch(shape, [row])]
            log.error("Job %s failed: %s", rows[0].job.job_id, error)
            return [(rows[0].place, failure_of(rows[0].job, error))]

    def _decode_rows(self, shape: Shape, rows: list[Row]) -> list[DecodeResult]:
        batch = self._encode(shape, rows)
        hypotheses = self._generate(batch)
        verdicts = [guard.judge(hypothesis) for hypothesis in hypotheses]
        if shape.kind == "final":
            self._decode_loops(batch, hypotheses, verdicts)
        words = self._align(batch, hypotheses, verdicts)
        return [result_of(*parts) for parts in zip(rows, hypotheses, verdicts, words, strict=True)]

    def _encode(self, shape: Shape, rows: list[Row], languages: Sequence[str] = ()) -> Batch:
        # Padding is the feature value 0, as the models were trained with, not the mel of silence.
        features: Float32 = np.zeros((len(rows), self._mel.n_mels, shape.frames), dtype=np.float32)
        for target, row in zip(features, rows, strict=True):
            mel = self._mel.features(row.samples[: shape.frames * SAMPLE_RATE // FRAMES_PER_SECOND])
            target[:, : mel.shape[1]] = mel
        encoded = self._model.encode(self._storage(features))
        codes = list(languages) or self._choose_languages(rows, encoded)
        starts = [self._vocabulary.start_sequence(code, shape.task) for code in codes]
        return Batch(shape, rows, features, encoded, codes, starts)

    def _choose_languages(self, rows: list[Row], encoded: Any) -> list[str]:
        known = [row.language for row in rows if row.language]
        if len(known) == len(rows):
            return known
        detected = self._model.detect_language(encoded)
        return [
            row.language or next(token[2:-2] for token, _ in ranked if token[2:-2] in self._languages)
            for row, ranked in zip(rows, detected, strict=True)
        ]

    def _generate(self, batch: Batch, **extra: Any) -> list[guard.Hypothesis]:
        shape, rows = batch.shape, batch.rows
        end = self._vocabulary.no_timestamps
        prompts = [[*row.previous, *start, end] for row, start in zip(rows, batch.starts, strict=True)]
        length = len(prompts[0])
        limit = guard.token_limit(shape.frames / FRAMES_PER_SECOND, dense=shape.dense)
        cap = min(CONTEXT - length, limit + 1)
        items = self._model.generate(
            batch.encoded,
            prompts,
            beam_size=shape.beam,
            # CTranslate2 stops at half of this, and at this less the prompt.
            max_length=max(2 * cap, cap + length),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=[-1] if shape.kind == "final" else [],
            **extra,
        )
        return [self._hypothesis(*parts) for parts in zip(rows, batch.languages, items, strict=True)]

    def _hypothesis(self, row: Row, language: str, item: Any) -> guard.Hypothesis:
        tokens = self._vocabulary.text_tokens(item.sequences_ids[0])
        count = len(item.sequences_ids[0])
        # The score is the mean over the tokens without the closing one, which the average counts too.
        mean = item.scores[0] * count / (count + 1)
        return guard.Hypothesis(
            tokens=tuple(tokens),
            text=self._vocabulary.decode(tokens).strip(),
            seconds=row.seconds,
            language=language,
            no_speech_probability=item.no_speech_prob,
            average_logprob=mean if math.isfinite(mean) else 0.0,
            speech_probability=row.job.speech_probability,
            no_speech_threshold=self._spec.no_speech_threshold,
        )

    def _decode_loops(self, batch: Batch, hypotheses: list[guard.Hypothesis], verdicts: list[guard.Guard]) -> None:
        """Give finals that ran in circles one more try in which no four tokens may come twice."""
        for i, verdict in enumerate(verdicts):
            if verdict not in ("loop", "token_rate"):
                continue
            single = self._encode(batch.shape, [batch.rows[i]], [batch.languages[i]])
            (hypothesis,) = self._generate(single, no_repeat_ngram_size=4)
            if not guard.judge(hypothesis):
                hypotheses[i], verdicts[i] = hypothesis, ""

    def _align(
        self, batch: Batch, hypotheses: list[guard.Hypothesis], verdicts: list[guard.Guard]
    ) -> list[tuple[Word, ...]]:
        words: list[tuple[Word, ...]] = [()] * len(batch.rows)
        wanted = [
            i for i, row in enumerate(batch.rows) if row.job.word_times and hypotheses[i].tokens and not verdicts[i]
        ]
        texts = [list(hypotheses[i].tokens) for i in wanted]
        for i, item in zip(wanted, self._align_rows(batch, wanted, texts), strict=True):
            row = batch.rows[i]
            pieces = self._vocabulary.split_words(hypotheses[i].tokens, hypotheses[i].language)
            placed = alignment.words_of(
                pieces, path=item.alignments, probabilities=item.text_token_probs, seconds=row.seconds
            )
            words[i] = alignment.fit_to_sound(placed, row.samples)
        return words

    def _align_rows(self, batch: Batch, wanted: list[int], texts: list[list[int]]) -> list[Any]:
        rows, starts = batch.rows, batch.starts
        frames = [min(batch.shape.frames, len(rows[i].samples) * FRAMES_PER_SECOND // SAMPLE_RATE) for i in wanted]
        if len(wanted) == len(rows) and are_alignable(starts, texts, frames):
            return list(self._model.align(batch.encoded, starts[0], texts, frames))
        aligned: list[Any] = []
        for i, text, count in zip(wanted, texts, frames, strict=True):
            single = self._storage(np.ascontiguousarray(batch.features[i : i + 1]))
            aligned += self._model.align(single, starts[i], [text], [count])
        return aligned


def are_alignable(starts: Sequence[list[int]], texts: Sequence[list[int]], frames: Sequence[int]) -> bool:
    """Return whether CTranslate2 aligns these rows rightly in one call.

    It takes one start sequence, and rows of equal length with texts of unequal length come out wrong (seen in 4.8).
    """
    if any(start != starts[0] for start in starts):
        return False
    return len({count // 2 for count in frames}) > 1 or len({len(text) for text in texts}) == 1


def _noise_job(samples: npt.NDArray[np.int16] | Samples, kind: DecodeKind) -> DecodeJob:
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
