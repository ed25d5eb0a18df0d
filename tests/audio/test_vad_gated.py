import numpy as np
import pytest

from hotmic.audio import vad_gated
from hotmic.audio.vad_gated import GatedVad
from hotmic.values import Samples
from sound import noise, to_samples

ROOM = to_samples(noise(2.0, -70))


class RecordingNetwork:
    """Stands in for Silero and writes down what it is given."""

    frame = 512

    def __init__(self) -> None:
        self.gain = 1.0
        self.heard: list[tuple[int, float]] = []
        self.resets = 0

    def probability(self, frame: Samples) -> float:
        self.heard.append((int(frame[0]), self.gain))
        return 0.7

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> RecordingNetwork:
    network = RecordingNetwork()
    monkeypatch.setattr(vad_gated, "SileroVad", lambda: network)
    return network


def room(index: int) -> Samples:
    frame = ROOM[index % 60 * 512 : index % 60 * 512 + 512].copy()
    frame[0] = index
    return frame


def voice(level_db: float) -> Samples:
    return to_samples(noise(512 / 16_000, level_db))


def test_a_quiet_room_never_runs_the_network(network: RecordingNetwork) -> None:
    vad = GatedVad()
    assert [vad.probability(room(i)) for i in range(100)] == [0.0] * 100
    assert network.heard == []


def test_the_network_hears_what_came_before_the_voice(network: RecordingNetwork) -> None:
    vad = GatedVad(history=4)
    for i in range(50):
        vad.probability(room(i))
    assert vad.probability(voice(-20)) == 0.7
    assert [first for first, _ in network.heard[:-1]] == [46, 47, 48, 49]
    assert network.resets == 1


def test_the_gate_stays_open_for_its_hold(network: RecordingNetwork) -> None:
    vad = GatedVad(hold=5, history=0)
    vad.probability(voice(-20))
    assert [vad.probability(room(i)) for i in range(8)] == [0.7] * 5 + [0.0] * 3


def test_quiet_voices_are_lifted_and_loud_ones_are_not(network: RecordingNetwork) -> None:
    vad = GatedVad(history=0)
    vad.probability(voice(-46))
    assert network.gain == pytest.approx(10.0, rel=0.2)
    vad.probability(voice(-20))
    assert network.gain == 1.0


def test_the_gain_is_bounded(network: RecordingNetwork) -> None:
    GatedVad(history=0).probability(voice(-53))
    assert network.gain == pytest.approx(10 ** (24 / 20))


def test_one_shout_does_not_deafen_it(network: RecordingNetwork) -> None:
    vad = GatedVad(history=0)
    vad.probability(voice(-6))
    for i in range(300):
        vad.probability(room(i))
    vad.probability(voice(-46))
    assert network.gain > 5.0


def test_digital_silence_is_handled(network: RecordingNetwork) -> None:
    assert GatedVad().probability(np.zeros(512, dtype=np.int16)) == 0.0
