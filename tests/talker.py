"""CTranslate2 models between an engine and its own: one that is listened to, one that talks on any sound."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest


class Call(NamedTuple):
    """One call of ``generate``."""

    prompts: list[list[int]]
    settings: dict[str, Any]
    items: list[Any]

    @property
    def cap(self) -> int:
        """Most tokens that CTranslate2 writes: half of ``max_length``, and no more than it less the prompt but one."""
        most: int = self.settings["max_length"]
        return min(most // 2, most - len(self.prompts[0]) + 1)


class Overheard:
    """An engine's own model; ``calls`` has what it was asked to write, ``views`` what it was given to hear."""

    def __init__(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._model = engine._model
        self.calls: list[Call] = []
        self.views: list[Any] = []
        monkeypatch.setattr(engine, "_model", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any) -> Any:
        self.views.append(features)
        return self._model.encode(features)

    def generate(self, encoded: Any, prompts: list[list[int]], **settings: Any) -> list[Any]:
        items = list(self._model.generate(encoded, prompts, **settings))
        self.calls.append(Call(prompts, settings, items))
        return items


class Said(NamedTuple):
    """A row as CTranslate2 returns it."""

    sequences_ids: list[list[int]]
    scores: list[float]
    """Mean log probability of the tokens."""
    no_speech_prob: float


class Talker(Overheard):
    """Says the same of whatever it hears, up to the length it is allowed, and is as sure of it as it is told to be."""

    def __init__(
        self, engine: Any, monkeypatch: pytest.MonkeyPatch, *, tokens: Sequence[int], score: float, no_speech: float
    ) -> None:
        super().__init__(engine, monkeypatch)
        self._tokens, self._score, self._no_speech = list(tokens), score, no_speech

    def generate(self, encoded: Any, prompts: list[list[int]], **settings: Any) -> list[Any]:
        count = settings["num_hypotheses"]
        call = Call(prompts, settings, [])
        said = Said([self._tokens[: call.cap]] * count, [self._score] * count, self._no_speech)
        call.items.extend([said] * len(prompts))
        self.calls.append(call)
        return call.items
