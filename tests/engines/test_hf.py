"""A tiny checkpoint with random weights: what it says means nothing, but it must be what torch says it is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotmic.engines.engine import Engine
from hotmic.errors import EngineFailed
from hotmic.values import DecodeJob, DecodeOptions

pytestmark = pytest.mark.integration
DEMO = Path(__file__).parents[2] / "server" / "hotmic" / "models" / "demo-en"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    sizes = {f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in [("layers", 1), ("ffn_dim", 32)]}
    torch.manual_seed(3)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size(),
            d_model=32,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            max_source_positions=200,
            max_target_positions=64,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=tokenizer.token_to_id("<|startoftranscript|>"),
            init_std=0.5,
            **sizes,
        )
    )
    directory = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(directory)
    shutil.copy(DEMO / "tokenizer.json", directory)
    return directory


@pytest.fixture(scope="module")
def hf(checkpoint: Path) -> Engine:
    from hotmic.config.model import Bundled, ModelSpec
    from hotmic.engines.engine import load_engine

    spec = ModelSpec(
        id="m", name="M", type="transformers", source=Bundled(name="x"), languages=("multilingual",), beam=2
    )
    return load_engine(spec, checkpoint, device="cpu", compute_type="float32", threads=1, batch_size=4, num_workers=1)


def greedy(engine: Any, audio: bytes, language: str) -> list[int]:
    """Decode one window step by step, without any of the engine's own decoding."""
    import numpy as np
    import torch

    vocabulary = engine._vocabulary
    features = np.zeros((1, 80, 400), dtype=np.float32)
    mel = engine._mel.features(np.frombuffer(audio, dtype="<i2"))[:, :400]
    features[0, :, : mel.shape[1]] = mel
    tokens = [*vocabulary.start_sequence(language, "transcribe"), vocabulary.no_timestamps]
    said: list[int] = []
    with torch.inference_mode():
        while len(said) < 64 - 4:
            logits = engine._model(
                input_features=torch.from_numpy(features), decoder_input_ids=torch.tensor([tokens + said])
            ).logits
            best = int(logits[0, -1].argmax())
            if best == vocabulary.end_of_text:
                break
            said.append(best)
    return said


def test_greedy_text_is_what_the_model_says(
    hf: Any, job: Callable[..., DecodeJob], clip: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hotmic.engines import guard

    judged: list[guard.Hypothesis] = []

    def judge(hypothesis: guard.Hypothesis) -> str:
        judged.append(hypothesis)
        return ""

    monkeypatch.setattr(guard, "judge", judge)
    monkeypatch.setattr(guard, "token_limit", lambda _seconds, *, dense: 1000)
    names = ["timer", "flight", "lights_kitchen"]
    options = DecodeOptions(language="en")
    results = hf.decode([job(clip(name), name, kind="partial", options=options) for name in names])
    for name, hypothesis, result in zip(names, judged, results, strict=True):
        said = greedy(hf, clip(name), "en")
        assert list(hypothesis.tokens) == hf._vocabulary.text_tokens(said)
        assert result.text == hf._vocabulary.decode(hypothesis.tokens).strip() != ""
        assert hypothesis.average_logprob < 0
    assert len({tuple(h.tokens) for h in judged}) > 1


def test_rows_keep_their_order_in_any_company(
    hf: Engine, job: Callable[..., DecodeJob], clip: Callable[[str], bytes]
) -> None:
    jobs = [
        job(clip(name), f"{name}-{kind}-{prompt}", kind=kind, options=DecodeOptions(prompt=prompt))
        for name in ("timer", "flight", "digits_five")
        for kind in ("partial", "final")
        for prompt in ("", "hello there")
    ]
    together = hf.decode(jobs)
    alone = [hf.decode([one])[0] for one in jobs]
    assert [r.job_id for r in together] == [j.job_id for j in jobs]
    assert [(r.text, r.language, r.suppressed) for r in together] == [(r.text, r.language, r.suppressed) for r in alone]
    assert not any(r.error_code for r in together)


def test_short_and_broken_windows(hf: Engine, job: Callable[..., DecodeJob]) -> None:
    short, broken = hf.decode([job(bytes(100)), job(b"123")])
    assert (short.text, short.error_code) == ("", "")
    assert broken.error_code == "engine_failed"


def test_capabilities_are_those_of_the_checkpoint(hf: Engine) -> None:
    capabilities = hf.capabilities
    assert (capabilities.max_window, capabilities.word_times) == (4.0, False)
    assert "en" in capabilities.languages


def test_pickled_weights_are_refused(engine: Callable[..., Engine], checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        shutil.copy(checkpoint / name, tmp_path)
    torch.save(load_file(checkpoint / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        engine("transformers", tmp_path)


def test_alternatives_and_languages_come_with_finals(
    hf: Engine, job: Callable[..., DecodeJob], clip: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hotmic.engines import guard

    monkeypatch.setattr(guard, "judge", lambda _: "")
    options = DecodeOptions(alternatives=2, fallback=False)
    final, partial, told = hf.decode(
        [
            job(clip("timer"), options=options),
            job(clip("timer"), kind="partial", options=options),
            job(clip("timer"), options=DecodeOptions(language="de")),
        ]
    )
    assert len({final.text, *final.alternatives}) == 3
    assert partial.alternatives == told.alternatives == ()
    assert 0.0 < final.language_probability < 1.0
    assert (told.language, told.language_probability) == ("de", 1.0)


def test_doubtful_finals_are_tried_again_where_the_session_allows_it(
    hf: Any, job: Callable[..., DecodeJob], clip: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hotmic.engines import guard
    from hotmic.engines.fallback import ATTEMPTS

    # Random weights are sure of nothing.
    monkeypatch.setattr(guard, "UNLIKELY", 1.0)
    monkeypatch.setattr(guard, "judge", lambda _: "")
    tries: list[dict[str, Any]] = []
    generate = hf._generate

    def note(*args: Any, **extra: Any) -> Any:
        if extra:
            tries.append(extra)
        return generate(*args, **extra)

    monkeypatch.setattr(hf, "_generate", note)
    allowed, refused = DecodeOptions(language="en"), DecodeOptions(language="en", fallback=False)
    jobs = [job(clip("timer"), options=refused), job(clip("timer"), kind="partial", options=allowed)]
    first, _ = hf.decode(jobs)
    assert tries == []
    (again,) = hf.decode([job(clip("timer"), options=allowed)])
    assert [t["no_repeat_ngram_size"] for t in tries] == [a.no_repeat_ngram for a in ATTEMPTS]
    assert again.average_logprob >= first.average_logprob
