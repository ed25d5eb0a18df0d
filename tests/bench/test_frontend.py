"""What the gateway is sent, and that its cost is found."""

import asyncio
import sys

import pytest

from hotmic.bench.frontend import BARE, FrontendOptions, build_chunks, run_frontend
from hotmic.commands import AppendAudio
from hotmic.dialects.audio import AudioDialect
from hotmic.errors import EngineFailed


@pytest.mark.parametrize("sound", ["quiet", "speech"])
def test_both_encodings_carry_the_same_audio(sound: str) -> None:
    json, binary = (build_chunks(sound, encoding) for encoding in ("json", "binary"))  # type: ignore[arg-type]
    assert len(json) == len(binary) == 200
    for one, other in zip(json, binary, strict=True):
        assert AudioDialect().parse(one) == (AppendAudio(data=other),)


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_cost_of_a_chunk_is_found() -> None:
    options = FrontendOptions(streams=4, seconds=0.5, turns=1, vads=("energy",), sounds=("speech",))
    result = asyncio.run(run_frontend(options))
    figures = result["figures"]
    assert [(figure["vad"], figure["encoding"]) for figure in figures] == [
        (BARE, "json"),
        (BARE, "binary"),
        ("energy", "json"),
        ("energy", "binary"),
    ]
    assert all(figure["us_per_chunk"] > 0 for figure in figures)


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_more_streams_than_are_carried_end_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTMIC_MAX_STREAMS_PER_ADDRESS", "2")
    options = FrontendOptions(streams=4, seconds=0.5, turns=1, vads=("energy",), sounds=("quiet",))
    with pytest.raises(EngineFailed, match=r"one of 4 streams .*measure fewer"):
        asyncio.run(run_frontend(options))
