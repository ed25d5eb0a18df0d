"""Training: a wall-clock budget, cosine to the end, weight averaging, checkpoints that survive a kill."""

import math
import random
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from demo_model import ct2, grammar
from demo_model.corpus import load_clips, new_shards
from demo_model.errorrate import ErrorRate
from demo_model.examples import IGNORED, Batch, Pool, collate
from demo_model.network import Network, Shape, initialise_local, shape_fields
from demo_model.speech import Clip, RecipeError
from demo_model.tokenizer import Tokens

ALIGNMENT_HEAD = 0
"""The head of the last decoder layer that learns to look at the word being written."""
_EMBEDDINGS = "model.decoder.embed_tokens.weight"
_AVERAGE_FROM = 0.6
_AVERAGE_DECAY = 0.998
_HEAD_WARM_STEPS = 300


@dataclass(frozen=True)
class TrainSettings:
    """What a training run needs.

    Attributes:
        work: Folder with ``tokenizer.json`` and ``shards/``; ``checkpoint.pt`` goes there.
        minutes: Budget of training time; time before a restart counts.
        init: A CTranslate2 directory or a checkpoint to start from; None starts from scratch.
        peak_rate: Highest learning rate; None chooses by the start.
        frames: Mel frames in a batch.
        threads: CPU threads of torch.
        bf16: Autocast to bfloat16; twice as fast where the CPU has avx512_bf16.
    """

    work: Path
    minutes: float = 60.0
    init: Path | None = None
    peak_rate: float | None = None
    frames: int = 6000
    threads: int = 2
    bf16: bool = True
    seed: int = 1

    @property
    def checkpoint(self) -> Path:
        """Where the run saves itself."""
        return self.work / "checkpoint.pt"


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    elapsed: float = 0.0
    averages: dict[str, float] = field(default_factory=dict)

    def note(self, losses: dict[str, float]) -> None:
        """Keep running means of the losses."""
        for name, value in losses.items():
            self.averages[name] = 0.98 * self.averages.get(name, value) + 0.02 * value


def read_start(init: Path) -> tuple[Shape, dict[str, Tensor], Tokens]:
    """Read a CTranslate2 directory or a checkpoint: shape, parameters, and the tokens they were trained with."""
    if init.is_dir():
        return *ct2.read_state(init), Tokens(init / "tokenizer.json")
    saved = torch.load(init, map_location="cpu", weights_only=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(saved["tokenizer"])
        tokens = Tokens(path)
    return Shape(**saved["shape"]), saved["average"] or saved["state"], tokens


def carried_embeddings(embeddings: Tensor, before: Tokens, after: Tokens) -> Tensor:
    """Return embeddings for other tokens: the same where a token stays, else the mean of its former pieces."""
    known = before.content
    rows = torch.zeros(len(after), embeddings.shape[1])
    for token, number in after.content.items():
        pieces = [known[token]] if token in known else before.encode(after.spelled(number))
        if pieces:
            rows[number] = embeddings[pieces].mean(0)
    return rows


def load_network(settings: TrainSettings, tokens: Tokens) -> Network:
    """Return a network from scratch, from a CTranslate2 directory or from a checkpoint.

    Raises:
        RecipeError: The start lacks parameters.
    """
    words = len(grammar.vocabulary())
    if settings.init is None:
        network = Network(Shape(len(tokens)), words)
        initialise_local(network)
        return network
    shape, state, before = read_start(settings.init)
    state[_EMBEDDINGS] = carried_embeddings(state[_EMBEDDINGS], before, tokens)
    shape = replace(shape, vocabulary=len(tokens))
    network = Network(shape, words)
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if own[name].shape == value.shape}
    missing = [name for name in own if name.startswith("model.") and name not in fitting]
    if missing:
        raise RecipeError(f"{settings.init} lacks {', '.join(missing)}")
    network.load_state_dict(fitting, strict=False)
    return network


def losses_of(network: Network, batch: Batch, *, bf16: bool) -> dict[str, Tensor]:
    """Return the four losses of a batch: decoder, characters (CTC), frame words, attention of the alignment head."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        encoded = network.model.encoder(batch.features)
        states, scores = network.model.decoder(batch.tokens, encoded, scores_of=ALIGNMENT_HEAD)
        logits = network.logits(states)
    decoder = F.cross_entropy(logits.float().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
    frames = encoded.float()
    words = network.word_head(frames)
    known = bool((batch.frame_words >= 0).any())
    frame_words = (
        F.cross_entropy(words.flatten(0, 1), batch.frame_words.flatten(), ignore_index=IGNORED)
        if known
        else words.sum() * 0
    )
    flat = torch.tensor([character for row in batch.characters for character in row], dtype=torch.long)
    sizes = torch.tensor([len(row) for row in batch.characters])
    probabilities = F.log_softmax(network.character_head(frames), -1).transpose(0, 1)
    characters = F.ctc_loss(probabilities, flat, batch.lengths, sizes, zero_infinity=True, reduction="sum")
    return {
        "decoder": decoder,
        "characters": characters / max(1, len(flat)),
        "frame_words": frame_words,
        "attention": _attention_loss(scores, batch),
    }


def _attention_loss(scores: Tensor, batch: Batch) -> Tensor:
    """Return minus the log of the attention that falls on the frames of the word being written."""
    if not batch.spans:
        return torch.zeros(())
    places = torch.tensor([(span.row, span.position, span.first, span.last) for span in batch.spans])
    rows = scores.float().softmax(-1)[places[:, 0], places[:, 1]]
    frames = torch.arange(rows.shape[1])[None]
    inside = (frames >= places[:, 2:3]) & (frames < places[:, 3:4])
    return -(rows * inside).sum(1).clamp_min(1e-6).log().mean()


def total_loss(losses: dict[str, Tensor], part: float) -> Tensor:
    """Weigh the losses; the decoder's counts most once the model listens. ``part`` is the part of the run done."""
    return (
        losses["decoder"]
        + (0.3 if part < 0.5 else 0.2) * losses["characters"]
        + (0.6 if part < 0.4 else 0.35) * losses["frame_words"]
        + 0.15 * losses["attention"]
    )


@torch.no_grad()
def transcribe(network: Network, clips: list[Clip], tokens: Tokens, *, longest: int = 60) -> list[str]:
    """Decode greedily; a check during training, the real measure is ``evaluate``."""
    network.eval()
    texts: list[str] = []
    prompt = [tokens.special(name) for name in ("startoftranscript", "en", "transcribe", "notimestamps")]
    end = tokens.special("endoftext")
    for first in range(0, len(clips), 25):
        batch = collate(clips[first : first + 25], tokens, random.Random(0), vary=False)
        encoded = network.model.encoder(batch.features)
        rows = torch.tensor([prompt] * len(encoded))
        done = torch.zeros(len(encoded), dtype=torch.bool)
        for _ in range(longest):
            states, _ = network.model.decoder(rows, encoded)
            following = network.logits(states[:, -1]).argmax(-1)
            following[done] = end
            done |= following == end
            rows = torch.cat([rows, following[:, None]], 1)
            if bool(done.all()):
                break
        texts += [tokens.text(row[len(prompt) :].tolist()) for row in rows]
    network.train()
    return texts


class Training:
    """One run.

    Args:
        settings: See there. A checkpoint in ``settings.work`` is continued.

    Raises:
        RecipeError: Nothing was prepared.
    """

    def __init__(self, settings: TrainSettings) -> None:
        if not (settings.work / "tokenizer.json").is_file():
            raise RecipeError(f"no tokenizer.json in {settings.work}; run prepare first")
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._settings = settings
        self._rng = random.Random(settings.seed)
        self._tokens = Tokens(settings.work / "tokenizer.json")
        self._network = load_network(settings, self._tokens)
        self._average: dict[str, Tensor] | None = None
        self._progress = Progress()
        self._optimizer = self._make_optimizer()
        self._pool = Pool(self._rng)
        self._seen: set[Path] = set()
        check = settings.work / "check.clips"
        self._check = load_clips(check) if check.is_file() else []
        if settings.checkpoint.is_file():
            self._resume()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self._network.named_parameters():
            decays = parameter.dim() > 1 and "embed" not in name
            groups.setdefault((decays, name.startswith("model.")), []).append(parameter)
        described = [
            {"params": parameters, "weight_decay": 0.03 if decays else 0.0, "body": body}
            for (decays, body), parameters in groups.items()
        ]
        return torch.optim.AdamW(described, lr=1e-3, betas=(0.9, 0.98), eps=1e-8)

    def _set_rates(self, part: float) -> None:
        """Cosine to the end after a short rise; a warm start lets fresh heads learn before the body moves fast."""
        warm = self._settings.init is not None
        peak = self._settings.peak_rate or (8e-4 if warm else 1.5e-3)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, part))) * 0.98 + 0.02
        rise = min(1.0, (self._progress.step + 1) / 150)
        fresh_heads = warm and self._settings.init is not None and self._settings.init.is_dir()
        body = min(1.0, 0.1 + self._progress.step / _HEAD_WARM_STEPS) if fresh_heads else 1.0
        for group in self._optimizer.param_groups:
            group["lr"] = peak * cosine * rise * (body if group["body"] else 1.0)

    def run(self) -> None:
        """Train until the budget is spent, then save.

        Raises:
            RecipeError: There are no shards.
        """
        settings, progress = self._settings, self._progress
        budget = settings.minutes * 60
        began, noted, checked = time.monotonic() - progress.elapsed, time.monotonic(), time.monotonic()
        seen_clips = 0
        while progress.elapsed < budget:
            self._pool.add(new_shards(settings.work / "shards", self._seen))
            if not len(self._pool):
                raise RecipeError(f"no shards in {settings.work / 'shards'}; run prepare first")
            for clips in self._pool.deal(4000, settings.frames):
                progress.elapsed = time.monotonic() - began
                if progress.elapsed >= budget:
                    break
                self._step(clips, progress.elapsed / budget)
                seen_clips += len(clips)
                if progress.step % 50 == 0:
                    rate = seen_clips / (time.monotonic() - noted)
                    means = " ".join(f"{name} {value:.3f}" for name, value in progress.averages.items())
                    print(
                        f"{progress.elapsed:.0f}s step {progress.step} {means} {rate:.1f} clips/s of {len(self._pool)}",
                        flush=True,
                    )
                    noted, seen_clips = time.monotonic(), 0
                if time.monotonic() - checked > 300:
                    self._report_check()
                    self._save()
                    checked = time.monotonic()
        self._report_check()
        self._save()

    def _step(self, clips: list[Clip], part: float) -> None:
        frames = 0
        if self._rng.random() < (0.08 if part > 0.6 else 0.04):
            frames = self._rng.choice((1000, 3000, self._rng.randint(600, 3000)))
            clips = clips[: max(2, self._settings.frames // frames)]
        batch = collate(clips, self._tokens, self._rng, frames=frames)
        self._set_rates(part)
        losses = losses_of(self._network, batch, bf16=self._settings.bf16)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total_loss(losses, part))
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimizer.step()
        self._progress.step += 1
        self._progress.note({name: float(value.detach()) for name, value in losses.items()})
        if part > _AVERAGE_FROM:
            self._add_to_average()

    def _add_to_average(self) -> None:
        current = self._network.state_dict()
        if self._average is None:
            self._average = {name: value.clone() for name, value in current.items()}
            return
        for name, value in current.items():
            self._average[name].mul_(_AVERAGE_DECAY).add_(value, alpha=1 - _AVERAGE_DECAY)

    def _report_check(self) -> None:
        """Print the word error rate of the check set by the first part of the voice's name."""
        if not self._check:
            return
        current = {name: value.clone() for name, value in self._network.state_dict().items()}
        if self._average is not None:
            self._network.load_state_dict(self._average)
        texts = transcribe(self._network, self._check, self._tokens)
        self._network.load_state_dict(current)
        rates: dict[str, ErrorRate] = {}
        for clip, text in zip(self._check, texts, strict=True):
            kind = clip.voice.split(":")[0] if ":" in clip.voice else "espeak"
            rates.setdefault(kind, ErrorRate()).add(clip.text, text)
        print("check", " ".join(f"{kind} {rate.percent:.1f}%" for kind, rate in sorted(rates.items())), flush=True)

    def _save(self) -> None:
        saved: dict[str, Any] = {
            "shape": shape_fields(self._network.shape),
            "tokenizer": self._tokens.path.read_text(),
            "state": self._network.state_dict(),
            "average": self._average or {},
            "optimizer": self._optimizer.state_dict(),
            "step": self._progress.step,
            "elapsed": self._progress.elapsed,
        }
        partial = self._settings.checkpoint.with_suffix(".partial")
        torch.save(saved, partial)
        partial.rename(self._settings.checkpoint)

    def _resume(self) -> None:
        saved = torch.load(self._settings.checkpoint, map_location="cpu", weights_only=True)
        self._network.load_state_dict(saved["state"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._average = saved["average"] or None
        self._progress.step, self._progress.elapsed = saved["step"], saved["elapsed"]
        print(f"continuing {self._settings.checkpoint} at step {self._progress.step}", flush=True)
