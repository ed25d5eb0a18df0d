"""Whisper checkpoints in their original form, on torch: for models that nobody converted to CTranslate2.

Slower, and every window is padded to the encoder's full 30 s, as transformers demands; no word times. Weights come
from safetensors alone, code from this machine alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from hotmic.config.model import ModelSpec
from hotmic.engines import fallback, guard
from hotmic.engines.fallback import Reading
from hotmic.engines.mel import FRAMES_PER_SECOND, Float32, MelBank
from hotmic.engines.row import SHORTEST, Row, failure_of, read_row, result_of
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeKind, DecodeResult, Task

log = logging.getLogger(__name__)


class Shape(NamedTuple):
    """What the rows of one batch have in common."""

    kind: DecodeKind
    task: Task
    beam: int
    readings: int
    """Hypotheses that are wanted of each window."""
    prompt_length: int


class Look(NamedTuple):
    """What the model says of a window before it writes."""

    language: str
    probability: float
    """Of the language, among those the model is registered for."""
    silence: float


class HfEngine:
    """A transformers Whisper model.

    Args:
        spec: Its entry in the registry.
        directory: Holds ``config.json``, safetensors and the tokenizer.
        device: ``cpu`` or ``cuda``.
        compute_type: ``float32``, ``float16`` or ``bfloat16``.
        threads: CPU threads.
        batch_size: Most rows of one batch.

    Raises:
        EngineFailed: The directory holds no such model.
    """

    def __init__(
        self, spec: ModelSpec, directory: Path, *, device: str, compute_type: str, threads: int, batch_size: int
    ) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            log.error("%s", error)
            raise EngineFailed("Models of the type transformers need: pip install hotmic[transformers].") from error
        torch.set_num_threads(threads)
        # Their own annotations are too narrow for what they do.
        self._torch: Any = torch
        self._transformers: Any = transformers
        self._transformers.logging.disable_progress_bar()
        self._model: Any
        self._spec, self._device, self._batch_size = spec, device, batch_size
        try:
            self._model = self._transformers.WhisperForConditionalGeneration.from_pretrained(
                str(directory),
                dtype=getattr(torch, compute_type),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            log.error("Loading %s failed: %s", directory, error)
            raise EngineFailed(f"The weights of {spec.id} cannot be loaded; the log has the reason.") from error
        self._model = self._model.to(device).eval()
        config = self._model.config
        self._frames = 2 * config.max_source_positions
        self._context = config.max_target_positions
        self._mel = MelBank(config.num_mel_bins)
        self._vocabulary = self._read_vocabulary(directory)
        known = tuple(self._vocabulary.languages)
        self._languages = known if spec.languages == ("multilingual",) else spec.languages

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return Capabilities(
            word_times=False,
            languages=self._languages,
            tasks=("transcribe", "translate") if self._vocabulary.multilingual else ("transcribe",),
            max_window=min(self._spec.max_window_s, self._frames / FRAMES_PER_SECOND),
            pause_after=self._spec.pause_after_s,
            batch=self._batch_size,
        )

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Decode half a second of noise, alone; every window has the same length."""
        noise = np.random.default_rng(0).normal(0, 300, SAMPLE_RATE // 2).astype("<i2")
        job = DecodeJob(
            job_id="warm-up",
            session_id="",
            segment_id="",
            kind="partial",
            samples=noise.tobytes(),
            start=0,
            deadline=0.0,
        )
        self.decode([job])
        report(1.0)

    def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode windows: one result per job, in order."""
        started = time.monotonic()
        results: dict[int, DecodeResult] = {}
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
                continue
            groups.setdefault(self._shape(row), []).append(row)
        for shape, rows in groups.items():
            for first in range(0, len(rows), self._batch_size):
                results.update(self._decode_batch(rows[first : first + self._batch_size], shape))
        spent = time.monotonic() - started
        return [msgspec.structs.replace(results[place], decode_s=spent) for place in range(len(jobs))]

    def _shape(self, row: Row) -> Shape:
        kind, options = row.job.kind, row.job.options
        readings = 1 + options.alternatives if kind == "final" else 1
        beam = max(readings, options.beam or self._spec.beam) if kind == "final" else 1
        return Shape(kind, options.task, beam, readings, len(row.previous))

    def _decode_batch(self, rows: list[Row], shape: Shape) -> list[tuple[int, DecodeResult]]:
        try:
            with self._torch.inference_mode():
                readings = self._decode_rows(rows, shape)
        except (RuntimeError, ValueError, IndexError) as error:
            # What torch and transformers raise; a batch that is too large for the memory may still fit row by row.
            if len(rows) > 1:
                log.warning("A batch of %d failed and is decoded row by row: %s", len(rows), error)
                return [done for row in rows for done in self._decode_batch([row], shape)]
            log.error("Job %s failed: %s", rows[0].job.job_id, error)
            return [(rows[0].place, failure_of(rows[0].job, error))]
        return [(row.place, result_of(row, reading, ())) for row, reading in zip(rows, readings, strict=True)]

    def _decode_rows(self, rows: list[Row], shape: Shape) -> list[Reading]:
        encoded = self._model.get_encoder()(self._features(rows))
        looks = self._first_look(rows, encoded)
        readings = self._generate(rows, encoded, looks, shape)
        if shape.kind == "final":
            for i, row in enumerate(rows):
                if row.job.options.fallback and readings[i].is_doubtful:
                    readings[i] = self._fall_back(row, looks[i], shape, readings[i])
        return readings

    def _fall_back(self, row: Row, look: Look, shape: Shape, reading: Reading) -> Reading:
        encoded = self._model.get_encoder()(self._features([row]))
        for attempt in fallback.ATTEMPTS:
            tried = row if attempt.prompted else row._replace(previous=[])
            wider = shape._replace(beam=fallback.widen(shape.beam, attempt))
            (new,) = self._generate(
                [tried],
                encoded,
                [look],
                wider,
                no_repeat_ngram_size=attempt.no_repeat_ngram,
                repetition_penalty=attempt.repetition_penalty,
            )
            reading = fallback.better(reading, new)
            if not reading.is_doubtful:
                break
        return reading

    def _generate(self, rows: list[Row], encoded: Any, looks: list[Look], shape: Shape, **extra: Any) -> list[Reading]:
        torch, vocabulary = self._torch, self._vocabulary
        prompts = [
            [*row.previous, *vocabulary.start_sequence(look.language, shape.task), vocabulary.no_timestamps]
            for row, look in zip(rows, looks, strict=True)
        ]
        length = len(prompts[0])
        seconds = max(row.seconds for row in rows)
        limit = guard.token_limit(seconds, dense=any(guard.is_dense(look.language) for look in looks))
        tokens = torch.tensor(prompts, device=self._device)
        generated = self._transformers.GenerationMixin.generate(
            # Whisper's own generate() adds prompts, timestamps and fallbacks of its own.
            self._model,
            encoder_outputs=encoded,
            decoder_input_ids=tokens,
            decoder_attention_mask=torch.ones_like(tokens),
            generation_config=self._transformers.GenerationConfig(
                num_beams=shape.beam,
                num_return_sequences=shape.readings,
                do_sample=False,
                max_new_tokens=max(1, min(self._context - length, limit + 1)),
                eos_token_id=vocabulary.end_of_text,
                pad_token_id=vocabulary.end_of_text,
                decoder_start_token_id=vocabulary.start_of_transcript,
                return_dict_in_generate=True,
                output_scores=True,
                **extra,
            ),
        )
        beams = getattr(generated, "beam_indices", None)
        scores = self._model.compute_transition_scores(
            generated.sequences, generated.scores, beams, normalize_logits=beams is None
        ).tolist()
        said = generated.sequences[:, length:].tolist()
        count = shape.readings
        return [
            fallback.read([self._hypothesis(row, look, said[k], scores[k]) for k in range(i * count, (i + 1) * count)])
            for i, (row, look) in enumerate(zip(rows, looks, strict=True))
        ]

    def _hypothesis(self, row: Row, look: Look, generated: list[int], scores: list[float]) -> guard.Hypothesis:
        end = self._vocabulary.end_of_text
        count = generated.index(end) + 1 if end in generated else len(generated)
        tokens = self._vocabulary.text_tokens(generated[:count])
        return guard.Hypothesis(
            tokens=tuple(tokens),
            text=self._vocabulary.decode(tokens).strip(),
            seconds=row.seconds,
            language=look.language,
            language_probability=look.probability,
            no_speech_probability=look.silence,
            average_logprob=float(np.mean(scores[:count])) if count else 0.0,
            speech_probability=row.job.speech_probability,
            no_speech_threshold=self._spec.no_speech_threshold,
            guards=self._spec.guards,
        )

    def _features(self, rows: list[Row]) -> Any:
        features: Float32 = np.zeros((len(rows), self._mel.n_mels, self._frames), dtype=np.float32)
        for target, row in zip(features, rows, strict=True):
            mel = self._mel.features(row.samples[: self._frames * SAMPLE_RATE // FRAMES_PER_SECOND])
            target[:, : mel.shape[1]] = mel
        return self._torch.from_numpy(features).to(self._device, self._model.dtype)

    def _first_look(self, rows: list[Row], encoded: Any) -> list[Look]:
        """Return language and no-speech probability of each row, both read after the start token alone."""
        vocabulary = self._vocabulary
        start = self._torch.full((len(rows), 1), vocabulary.start_of_transcript, device=self._device)
        logits = self._model(encoder_outputs=encoded, decoder_input_ids=start).logits[:, 0].float()
        silent = logits.softmax(-1)[:, vocabulary.no_speech].tolist() if vocabulary.no_speech else [0.0] * len(rows)
        codes = list(self._languages)
        if all(row.language for row in rows):
            return [Look(str(row.language), 1.0, silence) for row, silence in zip(rows, silent, strict=True)]
        likely, best = logits[:, [vocabulary.languages[code] for code in codes]].softmax(-1).max(-1)
        return [
            Look(row.language, 1.0, silence) if row.language else Look(codes[index], round(probability, 4), silence)
            for row, silence, index, probability in zip(rows, silent, best.tolist(), likely.tolist(), strict=True)
        ]

    def _read_vocabulary(self, directory: Path) -> Vocabulary:
        # A model fine-tuned for one language still expects the language token if its vocabulary has several.
        multilingual = bool(getattr(self._model.generation_config, "is_multilingual", True))
        if (directory / "tokenizer.json").is_file():
            return Vocabulary.load(directory, multilingual=multilingual)
        try:
            tokenizer = self._transformers.AutoTokenizer.from_pretrained(
                str(directory), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            log.error("Reading the tokenizer in %s failed: %s", directory, error)
            raise EngineFailed("The model's tokenizer cannot be read; the log has the reason.") from error
        return Vocabulary(tokenizer.backend_tokenizer, multilingual=multilingual)
