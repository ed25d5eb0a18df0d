"""Which server is started, and how."""

from pathlib import Path

import pytest

from hotmic.audio.segmenter import Cuts
from hotmic.bench.server import ServerOptions, find_spec, registry_of
from hotmic.bench.shape import shape_spec
from hotmic.building import build_segmenter, segmenter_settings
from hotmic.config.registry import Registry
from hotmic.errors import UnknownModel
from hotmic.values import SAMPLE_RATE, VadProfile

MODELS = """\
default: one
models:
  - {id: one, name: One, type: echo, source: {bundled: echo}, languages: [en]}
  - {id: two, name: Two, type: echo, source: {bundled: echo}, languages: [en]}
"""


def test_the_model_is_the_chosen_one_or_the_default(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(MODELS)
    options = ServerOptions(models=tmp_path / "models.yaml")
    assert find_spec(options).id == "one"
    assert find_spec(ServerOptions(models=tmp_path / "models.yaml", model="two")).id == "two"
    with pytest.raises(UnknownModel):
        find_spec(ServerOptions(models=tmp_path / "models.yaml", model="three"))


@pytest.mark.parametrize(
    ("vad", "asked", "seconds"), [(None, None, 0.6), ("seed", None, 1.92), ("seed", 400, 0.4), ("energy", 400, 0.4)]
)
def test_the_figures_count_from_the_endpoint_of_the_daemon(
    vad: VadProfile | None, asked: int | None, seconds: float
) -> None:
    options = ServerOptions(vad=vad, min_silence_ms=asked)
    assert options.endpoint_delay() == seconds
    cuts = Cuts(vad=options.settings().vad, min_silence_ms=asked)
    segmenter = build_segmenter(segmenter_settings(options.settings()), cuts)
    assert segmenter._min_silence == seconds * SAMPLE_RATE, "a session's, as the daemon builds it"


def test_a_stub_gets_a_registry_of_its_own(tmp_path: Path) -> None:
    spec = shape_spec("tiny", tmp_path / "weights")
    (tmp_path / "models.yaml").write_text(registry_of(spec))
    registry = Registry.load(tmp_path / "models.yaml")
    assert (registry.default, [found.id for found in registry.specs]) == (spec.id, [spec.id])
    found = registry.get(spec.id)
    assert (found.source, found.languages, found.type) == (spec.source, spec.languages, spec.type)
    assert (found.beam, found.min_window_s, found.compute_type) == (spec.beam, spec.min_window_s, spec.compute_type)
