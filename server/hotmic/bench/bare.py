"""The limit of a machine: CTranslate2 fed the best batches, with nothing around it.

A process of its own, spoken to in JSON lines over its pipes (``python -m hotmic.bench.bare``). It gets the same windows
as the worker beside it, as mel features that were made before the clock starts, and decodes them as the worker does:
encoder, decoder, and for finals the alignment. The process itself is set up as the worker's is, its heap and the
threads of its libraries: else it would be the slower one.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np

from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, DecodeKind, Samples, Value
from hotmic.worker.heap import keep_freed_memory

HOP = 160
LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One each, unless the user says otherwise, as in ``worker.child``; CTranslate2 is told its own number."""
TOKENS_PER_SECOND, TOKENS_MORE = 14, 16
"""The cap of a decode, as the worker sets it; a model that ends its text by itself never meets it."""


class Load(Value, frozen=True, kw_only=True, tag="load"):
    """Load a model and prepare windows of one length."""

    directory: Path
    device: str
    compute_type: str
    language: str
    windows: Path
    """A ``.npy`` file of int16, ``[count, samples]``."""
    window_s: float
    """What the encoder sees: windows are padded to this."""


class Run(Value, frozen=True, kw_only=True, tag="run"):
    """Decode for a while."""

    kind: DecodeKind
    beam: int
    rows: int
    lanes: int
    """Batches at a time."""
    threads: int
    """Of each."""
    seconds: float


def _from_wire(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


class Bare:
    """A child process and what it says."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hotmic.bench.bare"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**dict.fromkeys(LIBRARY_THREADS, "1"), **os.environ},
        )

    def ask(self, request: Load | Run) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            EngineFailed: The process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        body = msgspec.json.encode(request, enc_hook=str).decode()
        self._process.stdin.write(body + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise EngineFailed("The bare decoder ended; what it wrote to stderr says why.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class _Decoder:
    """One model, decoding batches of prepared windows."""

    def __init__(self, load: Load) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor
        from tokenizers import Tokenizer

        self._load = load
        self._lanes = (0, 0)
        self._open(1, 1)
        self._tokenizer = Tokenizer.from_file(str(load.directory / "tokenizer.json"))
        extractor = FeatureExtractor(feature_size=self._model.n_mels)
        windows: list[Samples] = list(np.load(load.windows))
        self._audio_s = len(windows[0]) / SAMPLE_RATE
        frames = round(load.window_s * SAMPLE_RATE / HOP)
        self._heard = len(windows[0]) // HOP
        self._features = np.zeros((len(windows), self._model.n_mels, frames), np.float32)
        for target, samples in zip(self._features, windows, strict=True):
            target[:, : self._heard] = extractor(samples.astype(np.float32) / 32768)[:, : self._heard]

    def run(self, run: Run) -> dict[str, float]:
        """Decode batches for a while, ``lanes`` at a time; return audio seconds per second and per second of CPU."""
        self._open(run.lanes, run.threads)
        batches = [
            np.ascontiguousarray(np.take(self._features, range(at, at + run.rows), axis=0, mode="wrap"))
            for at in range(0, len(self._features), run.rows)
        ]
        with ThreadPoolExecutor(run.lanes) as executor:
            list(executor.map(lambda batch: self._decode(batch, run), batches[: run.lanes]))
            began, computed, done, place = time.perf_counter(), time.process_time(), 0, 0
            waiting: set[Future[int]] = set()
            while time.perf_counter() - began < run.seconds or waiting:
                while len(waiting) < run.lanes and time.perf_counter() - began < run.seconds:
                    waiting.add(executor.submit(self._decode, batches[place % len(batches)], run))
                    place += 1
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
            spent, computed = time.perf_counter() - began, time.process_time() - computed
        return {"audio_s_per_s": done * self._audio_s / spent, "audio_s_per_cpu_s": done * self._audio_s / computed}

    def _decode(self, features: "np.ndarray[Any, np.dtype[np.float32]]", run: Run) -> int:
        import ctranslate2

        prompt = self._prompt()
        frames = features.shape[2]
        cap = round(TOKENS_MORE + TOKENS_PER_SECOND * frames * HOP / SAMPLE_RATE) + 1
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        results = self._model.generate(
            encoded,
            [prompt] * len(features),
            beam_size=run.beam if run.kind == "final" else 1,
            max_length=min(448, 2 * cap),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=[-1] if run.kind == "final" else [],
        )
        if run.kind == "final":
            end = self._id("<|endoftext|>")
            texts = [[token for token in result.sequences_ids[0] if token < end] for result in results]
            # Rows of equal length with texts of unequal length come out wrong; one shorter row mends that.
            counts = [self._heard] * len(texts)
            if len(counts) > 1:
                counts[-1] -= 2
            # The worker aligns no empty text; here it costs next to nothing and keeps the batch whole.
            self._model.align(encoded, prompt[:-1], [text or [0] for text in texts], counts)
        return len(features)

    def _prompt(self) -> list[int]:
        names = ["startoftranscript", "notimestamps"]
        if self._model.is_multilingual:
            names[1:1] = [self._load.language, "transcribe"]
        return [self._id(f"<|{name}|>") for name in names]

    def _id(self, token: str) -> int:
        number: int = self._tokenizer.get_vocab()[token]
        return number

    def _open(self, lanes: int, threads: int) -> None:
        import ctranslate2

        if self._lanes != (lanes, threads):
            self._lanes = (lanes, threads)
            self._model: Any = ctranslate2.models.Whisper(
                str(self._load.directory),
                device=self._load.device,
                compute_type=self._load.compute_type,
                inter_threads=lanes,
                intra_threads=threads,
            )


def main(requests: Sequence[str] | TextIO, answers: TextIO) -> None:
    """Answer requests until they end; a load with how the process is set up."""
    keeps_freed_memory = keep_freed_memory()
    decoder: _Decoder | None = None
    answer: dict[str, Any]
    reader = msgspec.json.Decoder(Load | Run, dec_hook=_from_wire)
    for line in requests:
        match reader.decode(line):
            case Load() as load:
                decoder = _Decoder(load)
                threads = {name: os.environ.get(name) for name in LIBRARY_THREADS}
                answer = {"keeps_freed_memory": keeps_freed_memory, "library_threads": threads}
            case Run() as run:
                assert decoder is not None, "asked to run before a model was loaded"
                answer = decoder.run(run)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
