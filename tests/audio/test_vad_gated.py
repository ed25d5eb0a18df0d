from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio import level, vad_gated
from hotmic.audio.vad_energy import NoiseFloor
from hotmic.audio.vad_gated import GatedVad
from hotmic.values import Samples
from sound import noise, to_samples

ROOM = to_samples(noise(2.0, -70))


class RecordingNetwork:
    """Stands in for Silero and writes down what it is given."""

    frame = 512

    def __init__(self) -> None:
        self.heard: list[tuple[int, float]] = []
        self.resets = 0

    @property
    def gain(self) -> float:
        """Of the newest frame."""
        return self.heard[-1][1]

    def probabilities(self, samples: Samples, gains: Sequence[float]) -> list[float]:
        frames = samples.reshape(-1, self.frame)
        assert len(gains) in (1, len(frames))
        self.heard += [(int(frame[0]), gain) for frame, gain in zip(frames, cycle(gains), strict=False)]
        return [0.7] * len(frames)

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
    assert [vad.probabilities(room(i))[0] for i in range(100)] == [0.0] * 100
    assert network.heard == []


def test_the_network_hears_what_came_before_the_voice(network: RecordingNetwork) -> None:
    vad = GatedVad(history=4)
    for i in range(50):
        vad.probabilities(room(i))
    assert vad.probabilities(voice(-20)) == [0.7]
    assert [first for first, _ in network.heard[:-1]] == [46, 47, 48, 49]
    assert network.resets == 1


def test_the_gate_stays_open_for_its_hold(network: RecordingNetwork) -> None:
    vad = GatedVad(hold=5, history=0)
    vad.probabilities(voice(-20))
    assert [vad.probabilities(room(i))[0] for i in range(8)] == [0.7] * 5 + [0.0] * 3


def test_quiet_voices_are_lifted_and_loud_ones_are_not(network: RecordingNetwork) -> None:
    vad = GatedVad(history=0)
    vad.probabilities(voice(-46))
    assert network.gain == pytest.approx(10.0, rel=0.2)
    vad.probabilities(voice(-20))
    assert network.gain == 1.0


def test_the_gain_is_bounded(network: RecordingNetwork) -> None:
    GatedVad(history=0).probabilities(voice(-53))
    assert network.gain == pytest.approx(10 ** (24 / 20))


def test_one_shout_does_not_deafen_it(network: RecordingNetwork) -> None:
    vad = GatedVad(history=0)
    vad.probabilities(voice(-6))
    for i in range(300):
        vad.probabilities(room(i))
    vad.probabilities(voice(-46))
    assert network.gain > 5.0


def test_digital_silence_is_handled(network: RecordingNetwork) -> None:
    assert GatedVad().probabilities(np.zeros(512, dtype=np.int16)) == [0.0]


def reference(frames: Sequence[Samples], network: RecordingNetwork, *, hold: int, history: int) -> list[float]:
    """Judge frame after frame, as it is easiest to read."""
    floor, recent, found = NoiseFloor(), list[Samples](), list[float]()
    open_frames, peak = 0, level.SILENCE_DB
    for frame in frames:
        loudness = level.level_db(frame)
        peak = max(loudness, peak - 0.2)
        loud = loudness >= max(-66.0, floor.receive(loudness) + 5.0)
        gain = float(10.0 ** (min(max(-26.0 - peak, 0.0), 24.0) / 20.0))
        if not loud and not open_frames:
            recent = [*recent, frame][-history:] if history else []
            found.append(0.0)
            continue
        if not open_frames:
            network.reset()
            for earlier in recent:
                network.probabilities(earlier, (gain,))
            recent = []
        open_frames = hold if loud else open_frames - 1
        found += network.probabilities(frame, (gain,))
    return found


@given(
    st.lists(st.tuples(st.sampled_from([-80, -70, -50, -30, -10]), st.integers(1, 6)), min_size=1, max_size=12),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_many_frames_at_once_are_judged_as_one_by_one(
    script: list[tuple[int, int]], sizes: list[int], hold: int, history: int
) -> None:
    frames = np.concatenate([np.stack([voice(level_db)] * count) for level_db, count in script])
    frames[:, 0] = np.arange(len(frames))
    expected = RecordingNetwork()
    wanted = reference(list(frames), expected, hold=hold, history=history)
    network, found = RecordingNetwork(), list[float]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vad_gated, "SileroVad", lambda: network)
        vad = GatedVad(hold=hold, history=history)
    while len(found) < len(frames):
        found += vad.probabilities(frames[len(found) : len(found) + sizes[len(found) % len(sizes)]].ravel())
    assert found == wanted
    assert (network.heard, network.resets) == (expected.heard, expected.resets)
