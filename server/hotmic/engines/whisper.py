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
from hotmic.engines import alignment, fallback, guard, window
from hotmic.engines.fallback import Attempt, Reading
from hotmic.engines.mel import FRAMES_PER_SECOND, Float32, MelBank
from hotmic.engines.row import SHORTEST, Row, failure_of, read_row, result_of
from hotmic.engines.spectrum import GrowingSpectrum
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed
from hotmic.values import (
    SAMPLE_RATE,
    Capabilities,
    DecodeJob,
    DecodeKind,
    DecodeOptions,
    DecodeResult,
    Samples,
    Task,
    Word,
)

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
    readings: int
    """Hypotheses that are wanted of each window."""
    prompt_length: int
    dense: bool
    """Whether the language may need many tokens a second."""


class Batch(NamedTuple):
    """Rows that are decoded together, and what is known of them before that."""

    shape: Shape
    rows: list[Row]
    features: Float32
    encoded: Any
    languages: list[tuple[str, float]]
    """With the probability of each."""
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
        self._growing = GrowingSpectrum(self._mel)
        self._executor = ThreadPoolExecutor(self._lanes, thread_name_prefix="lane")
        known = tuple(self._vocabulary.languages)
        self._languages = known if spec.languages == ("multilingual",) else spec.languages
        self._maybe_dense = any(guard.is_dense(code) for code in self._languages)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        translates = self._vocabulary.multilingual and self._languages != ("en",)  # English is what it translates into
        return Capabilities(
            languages=self._languages,
            tasks=("transcribe", "translate") if translates else ("transcribe",),
            max_window=self._spec.max_window_s,
            pause_after=self._spec.pause_after_s,
            batch=self._batch_size,
            batches_in_flight=2 if self._device == "cuda" else 1,
        )

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Decode noise in every bucket, greedily and with the beam, and on a GPU the largest batch last.

        On a CPU one bucket is enough, for nothing is compiled or allocated per shape: with the bundled model the very
        first decode took 100 ms longer than the next, the first in each other bucket (1 to 30 s, greedy, beam 1 and 5)
        no longer than those after it.
        """
        on_gpu = self._device == "cuda"
        sizes = [s for s in window.bucket_sizes(self._spec.min_window_s) if on_gpu or s <= self._spec.min_window_s]
        noise = np.random.default_rng(0).normal(0, 300, round(sizes[-1] * SAMPLE_RATE)).astype("<i2")
        kinds: tuple[DecodeKind, ...] = ("partial", "final")
        for done, size in enumerate(sizes, start=1):
            # The padding behind a window belongs to its bucket.
            length = round(size * SAMPLE_RATE) - window.MARGIN * SAMPLE_RATE // FRAMES_PER_SECOND
            for kind in kinds:
                self.decode([_noise_job(noise[:length], kind)])
            report(done / (len(sizes) + on_gpu))
        if on_gpu:
            self.decode([_noise_job(noise, "partial")] * self._batch_size)
            report(1.0)

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
        is_final = row.job.kind == "final"
        readings = 1 + row.job.options.alternatives if is_final else 1
        return Shape(
            frames=window.bucket_frames(len(row.samples), floor=self._spec.min_window_s, n_mels=self._mel.n_mels),
            kind=row.job.kind,
            task=row.job.options.task,
            # As many hypotheses as the beam is wide are all that a search has.
            beam=max(readings, row.job.options.beam or self._spec.beam) if is_final else 1,
            readings=readings,
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
            if "out of memory" in str(error):
                # Not the job's fault: a new process has its memory anew.
                raise MemoryError(str(error)) from error
            return [(rows[0].place, failure_of(rows[0].job, error))]

    def _decode_rows(self, shape: Shape, rows: list[Row]) -> list[DecodeResult]:
        batch = self._encode(shape, rows)
        readings = self._generate(batch)
        if shape.kind == "final":
            self._fall_back(batch, readings)
        words = self._align(batch, readings)
        return [result_of(*parts) for parts in zip(rows, readings, words, strict=True)]

    def _encode(self, shape: Shape, rows: list[Row], languages: Sequence[tuple[str, float]] = ()) -> Batch:
        # Padding is the feature value 0, as the models were trained with, not the mel of silence.
        features: Float32 = np.zeros((len(rows), self._mel.n_mels, shape.frames), dtype=np.float32)
        for target, row in zip(features, rows, strict=True):
            mel = self._spectrum(row, row.samples[: shape.frames * SAMPLE_RATE // FRAMES_PER_SECOND])
            target[:, : mel.shape[1]] = mel
        encoded = self._model.encode(self._storage(features))
        chosen = list(languages) or self._choose_languages(rows, encoded)
        starts = [self._vocabulary.start_sequence(code, shape.task) for code, _ in chosen]
        return Batch(shape, rows, features, encoded, chosen, starts)

    def _spectrum(self, row: Row, samples: Samples) -> Float32:
        key = (row.job.session_id, row.job.segment_id)
        # Noise reduction rewrites a window as a whole, so no frame stays as it was.
        if row.job.kind == "partial" and row.job.options.denoise == "off":
            return self._growing.features(key, samples, start=row.job.start)
        if row.job.kind == "final":
            # Computed anew: a final must not depend on its partials, not even by a rounding.
            self._growing.forget(key)
        return self._mel.features(samples)

    def _choose_languages(self, rows: list[Row], encoded: Any) -> list[tuple[str, float]]:
        known = [(row.language, 1.0) for row in rows if row.language]
        if len(known) == len(rows):
            return known
        detected = self._model.detect_language(encoded)
        return [
            (row.language, 1.0) if row.language else choose_language(ranked, self._languages)
            for row, ranked in zip(rows, detected, strict=True)
        ]

    def _generate(self, batch: Batch, **extra: Any) -> list[Reading]:
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
            num_hypotheses=shape.readings,
            # CTranslate2 stops at half of this, and at this less all of the prompt but its last token.
            max_length=max(2 * cap, cap + length - 1),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=[-1] if shape.kind == "final" else [],
            **extra,
        )
        return [
            fallback.read(
                [
                    self._hypothesis(row, language, ids, score, item.no_speech_prob)
                    for ids, score in zip(item.sequences_ids, item.scores, strict=True)
                ]
            )
            for row, language, item in zip(rows, batch.languages, items, strict=True)
        ]

    def _hypothesis(
        self, row: Row, language: tuple[str, float], ids: list[int], score: float, no_speech: float
    ) -> guard.Hypothesis:
        tokens = self._vocabulary.text_tokens(ids)
        # The score is the mean over the tokens without the closing one, which the average counts too.
        mean = score * len(ids) / (len(ids) + 1)
        return guard.Hypothesis(
            tokens=tuple(tokens),
            text=self._vocabulary.decode(tokens).strip(),
            seconds=row.seconds,
            language=language[0],
            language_probability=language[1],
            no_speech_probability=no_speech,
            average_logprob=mean if math.isfinite(mean) else 0.0,
            speech_probability=row.job.speech_probability,
            no_speech_threshold=self._spec.no_speech_threshold,
            guards=self._spec.guards,
        )

    def _fall_back(self, batch: Batch, readings: list[Reading]) -> None:
        """Give finals whose text is doubtful further tries, as many as their sessions allow."""
        left = [i for i, row in enumerate(batch.rows) if row.job.options.fallback and readings[i].is_doubtful]
        for attempt in fallback.ATTEMPTS if left else ():
            for i, reading in zip(left, self._try_again(batch, left, attempt), strict=True):
                readings[i] = fallback.better(readings[i], reading)
            left = [i for i in left if readings[i].is_doubtful]
            if not left:
                break

    def _try_again(self, batch: Batch, places: list[int], attempt: Attempt) -> list[Reading]:
        rows = [batch.rows[i] if attempt.prompted else batch.rows[i]._replace(previous=[]) for i in places]
        beam = fallback.widen(batch.shape.beam, attempt)
        shape = batch.shape._replace(beam=beam, prompt_length=len(rows[0].previous))
        return self._generate(
            self._encode(shape, rows, [batch.languages[i] for i in places]),
            no_repeat_ngram_size=attempt.no_repeat_ngram,
            repetition_penalty=attempt.repetition_penalty,
        )

    def _align(self, batch: Batch, readings: list[Reading]) -> list[tuple[Word, ...]]:
        words: list[tuple[Word, ...]] = [()] * len(batch.rows)
        hypotheses = [reading.hypothesis for reading in readings]
        wanted = [
            i
            for i, row in enumerate(batch.rows)
            if row.job.word_times and hypotheses[i].tokens and not readings[i].verdict
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
        groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for place, i in enumerate(wanted):
            groups.setdefault((tuple(starts[i]), len(texts[place])), []).append(place)
        aligned: dict[int, Any] = {}
        for places in groups.values():
            own = [wanted[place] for place in places]
            items = self._model.align(
                self._rows_of(batch, own),
                starts[own[0]],
                [texts[place] for place in places],
                [frames[place] for place in places],
            )
            aligned.update(zip(places, items, strict=True))
        return [aligned[place] for place in range(len(wanted))]

    def _rows_of(self, batch: Batch, rows: list[int]) -> Any:
        """Return some rows of a batch: of the encoder's output where numpy can reach it, else of its input."""
        source = np.asarray(batch.encoded) if self._device == "cpu" else batch.features
        return self._storage(np.ascontiguousarray(source[rows]))


def are_alignable(starts: Sequence[list[int]], texts: Sequence[list[int]], frames: Sequence[int]) -> bool:
    """Return whether CTranslate2 aligns these rows rightly in one call.

    It takes one start sequence, and rows of equal length with texts of unequal length come out wrong (seen in 4.8).
    """
    if any(start != starts[0] for start in starts):
        return False
    return len({count // 2 for count in frames}) > 1 or len({len(text) for text in texts}) == 1


def choose_language(ranked: Sequence[tuple[str, float]], languages: Sequence[str]) -> tuple[str, float]:
    """Return the likeliest of the languages that are possible, and its probability among them.

    Args:
        ranked: Language tokens with their probabilities, likeliest first.
        languages: Codes.
    """
    possible = [(token[2:-2], probability) for token, probability in ranked if token[2:-2] in languages]
    total = sum(probability for _, probability in possible)
    code, probability = possible[0]
    return code, round(probability / total, 4) if total else 0.0


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
        options=DecodeOptions(fallback=False),
    )
