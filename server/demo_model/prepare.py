"""Preparation: tokenizer, people, evaluation sets, and processes that fill the folder of shards."""

import multiprocessing
import random
import time
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path

from demo_model import evaluate, people
from demo_model.aligner import CrossAttentionAligner
from demo_model.corpus import ClipMaker, save_clips, write_shards
from demo_model.people import Recordings
from demo_model.speech import RecipeError
from demo_model.tokenizer import train_tokenizer
from demo_model.voices import Espeak, Festival, Speakers

SHIPPED = Path(__file__).resolve().parents[1] / "hotmic" / "models" / "demo-en"


@dataclass(frozen=True)
class PrepareSettings:
    """What preparation needs.

    Attributes:
        work: Folder for everything that is made.
        speech: Folder with recordings of people, or None for synthetic speech only.
        init: The start of training; a directory also finds the word times.
        clips: Number of training clips.
        jobs: Processes that make clips.
    """

    work: Path
    speech: Path | None = None
    init: Path | None = None
    clips: int = 40_000
    jobs: int = 2
    seed: int = 1

    @property
    def shards(self) -> Path:
        """Folder of the training clips."""
        return self.work / "shards"

    @property
    def evaluation(self) -> Path:
        """Folder of the evaluation sets."""
        return self.work / "evaluation"


def load_people(settings: PrepareSettings) -> tuple[Recordings | None, Recordings | None]:
    """Return the recordings to train on and those held out, with word times; None without ``settings.speech``."""
    if settings.speech is None:
        print("no --speech folder: synthetic speech only; such a model does not hear people well", flush=True)
        return None, None
    halves = people.load(settings.speech)
    model = settings.init if settings.init is not None and settings.init.is_dir() else SHIPPED
    if not (model / "model.bin").is_file():
        print(f"no model in {model} to align with: orders and keywords stay without word times", flush=True)
        return halves
    for half in halves:
        people.align(half, CrossAttentionAligner(model), settings.work / "alignment.json")
    return halves


def prepare(settings: PrepareSettings) -> list[SpawnProcess]:
    """Write tokenizer, evaluation and check sets; return the started processes that fill the shards."""
    settings.work.mkdir(parents=True, exist_ok=True)
    tokenizer = settings.work / "tokenizer.json"
    if not tokenizer.is_file():
        train_tokenizer(tokenizer)
    _, held = load_people(settings)
    evaluate.build_sets(Speakers(Espeak(), held=True, flite_share=0.2), held, settings.evaluation)
    save_clips(evaluate.check_set(settings.evaluation), settings.work / "check.clips")
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_make_shards, args=(settings, number)) for number in range(settings.jobs)]
    for process in started:
        process.start()
    return started


def _make_shards(settings: PrepareSettings, number: int) -> None:
    """Make this process's part of the clips."""
    recordings, _ = load_people(settings)
    rng = random.Random(f"{settings.seed}/{number}")
    maker = ClipMaker(Speakers(Espeak(), Festival()), recordings, rng)
    count = settings.clips // settings.jobs
    write_shards(maker, settings.shards, f"{settings.seed}-{number}", clips=count)


def finish(processes: list[SpawnProcess]) -> None:
    """Wait until all shards are written.

    Raises:
        RecipeError: A process failed.
    """
    for process in processes:
        process.join()
        if process.exitcode:
            raise RecipeError("making clips failed; see the messages above")


def wait_for_first(settings: PrepareSettings, processes: list[SpawnProcess], *, shards: int = 10) -> None:
    """Wait until some shards are there, so that training can begin while the rest is made."""
    while len(list(settings.shards.glob("*.clips"))) < shards and any(process.is_alive() for process in processes):
        time.sleep(1)
    if not list(settings.shards.glob("*.clips")):
        finish(processes)
