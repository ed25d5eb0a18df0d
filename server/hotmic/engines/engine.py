"""What a worker needs from an inference library."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hotmic.config.model import ModelSpec
from hotmic.values import Capabilities, DecodeJob, DecodeResult


class Engine(Protocol):
    """A loaded model."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Decode something in every shape that will come, so that no speaker pays for a first time.

        Args:
            report: Told the share that is done, 0 to 1.
        """

    def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode windows: one result per job, in order.

        A row that cannot be decoded gives a result with an ``error_code`` and leaves its neighbours alone.
        """


def load_engine(
    spec: ModelSpec,
    directory: Path,
    *,
    device: str,
    compute_type: str,
    threads: int,
    batch_size: int,
    num_workers: int,
) -> Engine:
    """Load a model.

    Args:
        spec: Its entry in the registry.
        directory: Its weights.
        device: ``cpu`` or ``cuda``, as ``probe.choose_placement`` found it possible.
        compute_type: A CTranslate2 compute type, never ``auto``.
        threads: CPU threads of one batch.
        batch_size: Most rows of one batch.
        num_workers: Batches the model decodes at a time.

    Raises:
        EngineFailed: The weights are no model of this type; the message may be shown.
    """
    match spec.type:
        case "echo":
            from hotmic.engines.echo import EchoEngine

            return EchoEngine(spec, batch_size=batch_size)
        case "faster_whisper":
            from hotmic.engines.whisper import WhisperEngine

            return WhisperEngine(
                spec,
                directory,
                device=device,
                compute_type=compute_type,
                threads=threads,
                batch_size=batch_size,
                num_workers=num_workers,
            )
        case "transformers":
            from hotmic.engines.hf import HfEngine

            return HfEngine(
                spec, directory, device=device, compute_type=compute_type, threads=threads, batch_size=batch_size
            )
