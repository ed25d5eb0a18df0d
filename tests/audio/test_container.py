import socket
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from file_support import encoded, tone, wav
from hotmic.audio import container
from hotmic.errors import BadAudio, TooLarge


def test_wav_at_16_khz_comes_out_bit_exact_in_chunks() -> None:
    samples = tone(16_000, 2.5)
    chunks = list(container.decode(wav(samples)))
    assert [len(chunk) for chunk in chunks] == [16_000, 16_000, 8_000]
    assert np.array_equal(np.concatenate(chunks), samples)


def test_stereo_44_khz_becomes_mono_16_khz(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    path.write_bytes(wav(np.repeat(tone(44_100, 1.0), 2), rate=44_100, channels=2))
    decoded = np.concatenate(list(container.decode(path)))
    assert abs(len(decoded) - 16_000) <= 32
    expected = tone(16_000, 1.0)[: len(decoded)]
    assert np.corrcoef(decoded[500:15_000], expected[500:15_000])[0, 1] > 0.99


@pytest.mark.parametrize(("name", "codec"), [("webm", "libopus"), ("adts", "aac"), ("ogg", "libopus")])
def test_what_browsers_and_phones_record(name: str, codec: str) -> None:
    data = encoded(name, codec, tone(48_000, 2.0), 48_000)
    decoded = np.concatenate(list(container.decode(data)))
    assert abs(len(decoded) - 32_000) < 3_200
    spectrum = np.abs(np.fft.rfft(decoded[4000:20_000]))
    assert abs(int(np.argmax(spectrum)) - 300) <= 2


@pytest.mark.parametrize("rates", [(48_000, 16_000), (16_000, 48_000, 22_050)])
def test_sound_that_changes_its_rate_is_heard_to_its_end(rates: tuple[int, ...]) -> None:
    data = b"".join(encoded("adts", "aac", tone(rate, 2.0), rate) for rate in rates)
    decoded = np.concatenate(list(container.decode(data)))
    assert abs(len(decoded) - 32_000 * len(rates)) < 3_200 * len(rates)
    for number in range(len(rates)):
        part = decoded[32_000 * number + 8_000 :][:16_000]
        assert abs(int(np.argmax(np.abs(np.fft.rfft(part)))) - 300) <= 2


@pytest.mark.parametrize("rate", [1, 3_999, 768_001, 2**30])
def test_a_rate_that_nothing_is_recorded_at_costs_nothing(rate: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadAudio, match="sample rate"):
            list(container.decode(wav(tone(16_000, 0.1), rate=rate)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_duration_is_known_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(16_000, 2.5)))
    assert container.duration(path) == pytest.approx(2.5)
    assert container.duration(path.read_bytes()) == pytest.approx(2.5)


def test_truncated_file_gives_what_is_there() -> None:
    data = wav(tone(16_000, 2.0))
    assert sum(map(len, container.decode(data[: 44 + 20_000]))) == 10_000


def test_damage_in_the_middle_costs_only_its_place() -> None:
    data = bytearray(encoded("flac", "flac", tone(16_000, 4.0), 16_000))
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    assert 48_000 < sum(map(len, container.decode(bytes(data)))) <= 66_000


@pytest.mark.parametrize("data", [b"", b"not audio at all " * 50, b"RIFF\x00\x00", b"\x00" * 5000])
def test_rubbish_is_bad_audio(data: bytes) -> None:
    with pytest.raises(BadAudio):
        list(container.decode(data))


def test_wav_without_samples_is_bad_audio() -> None:
    with pytest.raises(BadAudio):
        list(container.decode(wav(np.zeros(0, dtype=np.int16))))


@pytest.mark.parametrize("path", ["http://127.0.0.1:9/a.wav", "missing.wav", "."])
def test_only_files_are_opened(path: str) -> None:
    with pytest.raises(BadAudio, match="cannot be opened"):
        list(container.decode(path))


def test_a_list_of_other_files_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav(tone(16_000, 1.0)))
    with pytest.raises(BadAudio):
        list(container.decode(b"ffconcat version 1.0\nfile 'secret.wav'\n"))


def test_a_playlist_makes_no_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path = tmp_path / "list.m3u8"
        path.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{listener.getsockname()[1]}/a.ts\n"
            "#EXT-X-ENDLIST\n"
        )
        with pytest.raises(BadAudio):
            list(container.decode(path))
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_limit_holds_while_decoding() -> None:
    chunks = container.decode(wav(tone(16_000, 5.0)), max_seconds=2)
    assert len(next(chunks)) == 16_000
    with pytest.raises(TooLarge, match="2 s"):
        list(chunks)
