"""A stub loads wherever Whisper does and speaks for as long as the audio lasts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotmic.bench import shape
from hotmic.bench.clip import bundled_clips, cut_windows
from hotmic.bench.lexicon import Lexicon
from hotmic.bench.shape import shape_directory, shape_spec
from hotmic.bench.stub import TOKENS_PER_SECOND, Dimensions
from hotmic.config.weight import missing_files
from hotmic.engines.whisper import WhisperEngine
from hotmic.errors import ConfigError
from hotmic.values import DecodeJob, DecodeKind, DecodeOptions

SECONDS = (1.5, 4.0, 9.0, 20.0)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stub with the vocabulary of the real ones and few layers."""
    patch = pytest.MonkeyPatch()
    patch.setitem(
        shape.SHAPES, "tiny", Dimensions(width=384, encoder_layers=2, decoder_layers=2, mels=80, languages=99)
    )
    folder = shape_directory("tiny", cache=tmp_path_factory.mktemp("cache"))
    patch.undo()
    return folder


def window(seconds: float) -> Any:
    return cut_windows(bundled_clips(), seconds, 1)[0]


def expected(seconds: float) -> Any:
    return pytest.approx(seconds * TOKENS_PER_SECOND, abs=2)


def job(seconds: float, kind: DecodeKind, **options: Any) -> DecodeJob:
    return DecodeJob(
        job_id=f"{seconds}",
        session_id="s",
        segment_id="g",
        kind=kind,
        samples=window(seconds).tobytes(),
        start=0,
        deadline=0.0,
        options=DecodeOptions(**options),
        word_times=kind == "final",
    )


def build_engine(directory: Path, compute_type: str = "int8") -> WhisperEngine:
    spec = shape_spec("tiny", directory)
    more = {"device": "cpu", "threads": 1, "batch_size": 8, "num_workers": 1}
    return WhisperEngine(spec, directory, compute_type=compute_type, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "layers", "width", "heads", "mels", "vocabulary"),
    [
        ("tiny", (4, 4), 384, 6, 80, 51_865),
        ("base", (6, 6), 512, 8, 80, 51_865),
        ("small", (12, 12), 768, 12, 80, 51_865),
        ("large-v3-turbo", (32, 4), 1280, 20, 128, 51_866),
    ],
)
def test_shapes_are_those_that_were_published(
    name: str, layers: tuple[int, int], width: int, heads: int, mels: int, vocabulary: int
) -> None:
    """Radford et al. 2022, table 1; ``config.json`` of openai/whisper-* (``d_model``, ``vocab_size`` and so on)."""
    found = shape.SHAPES[name]
    assert (found.encoder_layers, found.decoder_layers) == layers
    assert (found.width, found.heads, found.mels) == (width, heads, mels)
    assert len(Lexicon(found.languages)) == vocabulary


@pytest.mark.slow
def test_the_largest_shape_is_built_and_speaks(tmp_path: Path) -> None:
    """A minute, a gigabyte of disk and more of memory."""
    import ctranslate2

    folder = shape_directory("large-v3-turbo", cache=tmp_path)
    model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8")
    assert (model.n_mels, model.num_languages) == (128, 100)
    assert len(json.loads((folder / "vocabulary.json").read_text())) == 51_866
    # A byte each: 809 million parameters, of which the projection shares 66 million with the embeddings.
    assert 0.8e9 < (folder / "model.bin").stat().st_size < 1.2e9
    del model
    engine = build_engine(folder)
    (result,) = engine.decode([job(4.0, "final", language="en")])
    assert len(result.text.split()) == expected(4.0)


def test_a_stub_is_complete_and_built_once(directory: Path) -> None:
    assert missing_files(directory, "faster_whisper") == ()
    written = (directory / "model.bin").stat().st_mtime_ns
    assert shape_directory("tiny", cache=directory.parent) == directory
    assert (directory / "model.bin").stat().st_mtime_ns == written
    assert list(directory.parent.iterdir()) == [directory]


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(ConfigError, match="there are tiny, base, small, large-v3-turbo"):
        shape_directory("medium")  # type: ignore[arg-type]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        shape_directory("tiny", cache=tmp_path / "file")


@pytest.mark.parametrize("kind", ["partial", "final"])
@pytest.mark.parametrize("compute_type", ["int8", "float32"])
def test_our_engine_hears_as_many_words_as_the_audio_is_long(
    directory: Path, kind: DecodeKind, compute_type: str
) -> None:
    engine = build_engine(directory, compute_type)
    results = engine.decode([job(seconds, kind, language="en") for seconds in SECONDS])
    assert [result.suppressed or result.error_code for result in results] == [""] * len(SECONDS)
    for seconds, result in zip(SECONDS, results, strict=True):
        assert len(result.text.split()) == expected(seconds)
        assert results[-1].text.startswith(result.text)
        if kind == "final":
            starts = [word.start for word in result.words]
            assert len(starts) == len(result.text.split())
            assert starts == sorted(starts)
            assert result.words[-1].end == pytest.approx(seconds, abs=1.0)


def test_previous_text_changes_nothing(directory: Path) -> None:
    engine = build_engine(directory)
    plain, led = (engine.decode([job(4.0, "final", language="en", prompt=text)])[0] for text in ("", "badi bayu kilo"))
    assert led.text == plain.text


def test_a_language_is_detected(directory: Path) -> None:
    (result,) = build_engine(directory).decode([job(4.0, "partial")])
    assert result.language == "en"


def test_the_unmodified_library_hears_the_same(directory: Path) -> None:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    audio = window(9.0).astype(np.float32) / 32768
    for how in ({"beam_size": 1, "without_timestamps": True}, {"beam_size": 5, "word_timestamps": True}):
        segments, _ = model.transcribe(audio, language="en", **how)
        assert len(" ".join(segment.text for segment in segments).split()) == expected(9.0)
