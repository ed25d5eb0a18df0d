"""What the engine asks of CTranslate2: how the model is loaded, what it is given to hear, how it is to write."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hotmic.engines import guard
from hotmic.engines import whisper as whisper_module
from hotmic.engines.engine import Engine
from hotmic.values import DecodeJob, DecodeOptions
from sound import not_speech
from talker import Overheard

pytestmark = pytest.mark.integration
Build = Callable[..., DecodeJob]
Clip = Callable[[str], bytes]


@pytest.mark.parametrize("prompt", ["", "please open the document and start the server " * 4])
def test_text_is_capped_by_duration(
    whisper: Engine, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    overheard = Overheard(whisper, monkeypatch)
    monkeypatch.setattr(guard, "token_limit", lambda _seconds, *, dense: 2)
    (result,) = whisper.decode([job(clip("timer"), kind="partial", options=DecodeOptions(prompt=prompt))])
    assert (result.text, result.suppressed) == ("", "token_rate")
    (call,) = overheard.calls
    # One more than can be spoken, so that the guard sees it, and CTranslate2 keeps to it.
    assert [len(item.sequences_ids[0]) for item in call.items] == [call.cap] == [3]


@pytest.mark.parametrize(
    ("language", "seconds", "prompt", "cap"),
    [
        ("en", 0.5, "", 31),
        ("en", 4.0, "", 87),
        ("hi", 4.0, "", 217),
        ("hi", 20.0, "", 448 - 4),
        ("en", 0.5, "hi " * 40, 31),
    ],
)
def test_the_cap_grows_with_the_window_and_the_language(
    engine: Callable[..., Engine],
    job: Build,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    seconds: float,
    prompt: str,
    cap: int,
) -> None:
    several = engine("faster_whisper", languages=("en", "hi"))
    overheard = Overheard(several, monkeypatch)
    options = DecodeOptions(language=language, prompt=prompt, fallback=False)
    pcm = not_speech("white", -40, seconds).tobytes()
    several.decode([job(pcm, kind, kind=kind, options=options) for kind in ("partial", "final")])
    assert [call.cap for call in overheard.calls] == [cap, cap]


@pytest.mark.parametrize(
    ("kind", "options", "beam", "readings"),
    [
        ("partial", {}, 1, 1),
        ("partial", {"beam": 5, "alternatives": 3, "task": "translate"}, 1, 1),
        ("final", {}, 3, 1),
        ("final", {"beam": 1}, 1, 1),
        ("final", {"beam": 6, "task": "translate"}, 6, 1),
        ("final", {"beam": 2, "alternatives": 3}, 4, 4),
    ],
)
def test_what_the_model_is_asked_to_write(
    engine: Callable[..., Engine],
    job: Build,
    clip: Clip,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: dict[str, Any],
    beam: int,
    readings: int,
) -> None:
    several: Any = engine("faster_whisper", languages=("en", "de"), beam=3)
    overheard = Overheard(several, monkeypatch)
    wanted = DecodeOptions(language="de", fallback=False, **options)
    several.decode([job(clip("timer"), kind=kind, options=wanted)])
    (call,) = overheard.calls
    names = ("<|startoftranscript|>", "<|de|>", f"<|{wanted.task}|>", "<|notimestamps|>")
    assert call.prompts == [[several._vocabulary._tokenizer.token_to_id(name) for name in names]]
    asked = {name: call.settings[name] for name in ("beam_size", "num_hypotheses", "suppress_tokens")}
    assert asked == {
        "beam_size": beam,
        "num_hypotheses": readings,
        "suppress_tokens": [-1] if kind == "final" else [],
    }


@pytest.mark.parametrize("kind", ["partial", "final"])
def test_features_are_not_copied_for_the_encoder(
    whisper: Any, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    overheard = Overheard(whisper, monkeypatch)
    batches: list[Any] = []
    generate = whisper._generate

    def note(batch: Any) -> Any:
        batches.append(batch)
        return generate(batch)

    monkeypatch.setattr(whisper, "_generate", note)
    whisper.decode([job(clip("timer"), kind=kind)])
    ((view,), (batch,)) = overheard.views, batches
    batch.features[0, 0, 0] = 7.0
    assert np.asarray(view)[0, 0, 0] == 7.0
    assert np.shares_memory(np.asarray(view), batch.features)


@pytest.mark.parametrize(("compute_type", "reported"), [("int8", "int8_float32"), ("float32", "float32")])
@pytest.mark.parametrize(("threads", "is_small", "lanes"), [(1, True, 1), (2, True, 2), (2, False, 1)])
def test_the_model_is_loaded_as_it_was_asked_for(
    engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
    compute_type: str,
    reported: str,
    threads: int,
    is_small: bool,
    lanes: int,
) -> None:
    if not is_small:
        monkeypatch.setattr(whisper_module, "SMALL_WEIGHTS", 0)
    model = engine("faster_whisper", threads=threads, compute_type=compute_type)._model  # type: ignore[attr-defined]
    assert (model.compute_type, model.num_workers, model.device) == (reported, lanes, "cpu")
