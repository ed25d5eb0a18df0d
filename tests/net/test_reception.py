"""What the settings say about a dialect reaches its sessions; which paths may compress."""

import asyncio
from pathlib import Path

import pytest
import soxr

import virtual_time
from hotmic.building import dialect_options
from hotmic.commands import SessionOptions
from hotmic.config.settings import load_settings
from hotmic.dialects.dialect import Frame
from hotmic.dialects.negotiate import GATEWAY_PATHS
from hotmic.dialects.wish import parse_target
from hotmic.engines import echo
from hotmic.errors import ConfigError
from hotmic.net.reception import ANY_PATH, Admission, Reception
from net_support import ANYBODY, FakePeer, House


class TextPeer(FakePeer):
    """A socket whose text frames are no JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[Frame] = []

    async def send(self, frame: Frame) -> None:
        self.texts.append(frame)


@pytest.mark.parametrize(("query", "rate"), [("", 32_000), ("?sample_rate=48000", 48_000)])
def test_sound_comes_at_the_rate_of_the_setting_unless_the_url_names_one(tmp_path: Path, query: str, rate: int) -> None:
    async def main() -> None:
        house = House(tmp_path)
        house.services.dialect_options = {"plain_text": SessionOptions(sample_rate=32_000)}
        reception = Reception("http", house.services, GATEWAY_PATHS)
        peer, wish = TextPeer(), parse_target(f"/{query}")
        admission = Admission(dialect="plain_text", wish=wish, grant=ANYBODY, protocol=None, address="127.0.0.1")
        task = asyncio.get_running_loop().create_task(reception.serve(peer, admission))
        sound = soxr.resample(echo.speech(8), 16_000, rate).tobytes()
        for begin in range(0, len(sound), rate // 5):
            peer.say(sound[begin : begin + rate // 5])
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        assert peer.texts == ["0 1 2 3 4 5 6 7"]
        peer.leave()
        await task

    virtual_time.run(main())


def test_which_paths_may_compress(tmp_path: Path) -> None:
    async def main() -> None:
        services = House(tmp_path).services
        gateway = Reception("http", services, GATEWAY_PATHS)
        assert [path for path in (*GATEWAY_PATHS, "/nothing") if gateway.may_compress(path)] == ["/ws/transcribe"]
        assert Reception("own", services, {ANY_PATH: "rnnt"}).may_compress("/any")

    virtual_time.run(main())


def test_what_the_settings_say_about_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTMIC_VAD", raising=False)
    assert dialect_options(load_settings()) == {
        "plain_text": SessionOptions(sample_rate=16_000),
        "simul": SessionOptions(beam=1),
    }
    chosen = load_settings(
        vad="silero", plain_text_sample_rate=8_000, simul_decoder="beam", simul_beams=5, simul_policy="align_att"
    )
    assert dialect_options(chosen) == {
        "plain_text": SessionOptions(sample_rate=8_000, vad="silero"),
        "simul": SessionOptions(beam=5, policy="align_att"),
    }
    with pytest.raises(ConfigError, match="simul_decoder is beam"):
        load_settings(simul_beams=5)
