import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio.blob import BlobReader, Container, Pcm, begins_container
from hotmic.errors import BadAudio
from running import CLIPS
from wav_support import NO_SOUND, PCM, data, fmt, pieces, read_clip, riff, wav

CLIP = read_clip(CLIPS / "flight.wav")
EBML = b"\x1a\x45\xdf\xa3" + bytes(20)
OGG = b"OggS\0\2" + bytes(20)
HEADERS = (EBML, OGG, b"fLaC" + bytes(20), b"ID3\4\0" + bytes(20), b"\0\0\0\x18ftypisom" + bytes(20))


def samples_of(reader: BlobReader, frames: list[bytes]) -> tuple[np.ndarray, set[int]]:
    found = [reader.receive(frame) for frame in frames]
    assert all(isinstance(piece, Pcm) for piece in found)
    sound = b"".join(piece.data for piece in found)
    return np.frombuffer(sound, np.int16), {piece.rate for piece in found if isinstance(piece, Pcm) and piece.data}


@pytest.mark.parametrize("size", [1, 11, 12, 1023, 32_000])
def test_a_header_in_the_first_frame_and_bare_ones_behind_it(size: int) -> None:
    sound, rates = samples_of(BlobReader(), pieces(wav(CLIP, rate=44_100)[:30_000], size))
    np.testing.assert_array_equal(sound, CLIP[: len(sound)])
    assert (len(sound), rates) == ((30_000 - 44) // 2, {44_100})


def test_a_whole_file_in_every_frame() -> None:
    frames = [wav(part, rate=8_000) for part in np.array_split(CLIP, 9)]
    sound, rates = samples_of(BlobReader(), frames)
    np.testing.assert_array_equal(sound, CLIP)
    assert rates == {8_000}


@pytest.mark.parametrize("scrap", [b"\0", b"RIFF", bytes(11)])
def test_a_header_counts_behind_a_frame_too_short_to_tell(scrap: bytes) -> None:
    reader = BlobReader()
    assert reader.receive(scrap) == Pcm(data=b"", rate=16_000)
    sound, rates = samples_of(reader, [wav(CLIP, rate=8_000)])
    np.testing.assert_array_equal(sound, CLIP)
    assert rates == {8_000}
    reader = BlobReader()
    reader.receive(scrap)
    assert reader.receive(EBML) == Container(data=EBML, is_first=True)


def test_bare_samples_have_the_rate_of_the_reader() -> None:
    sound, rates = samples_of(BlobReader(rate=48_000), pieces(CLIP.tobytes(), 999))
    assert (len(sound), rates) == (len(CLIP), {48_000})


@pytest.mark.parametrize("header", HEADERS)
def test_a_container_goes_on_until_another_header(header: bytes) -> None:
    reader = BlobReader()
    for first in (True, True):
        assert reader.receive(header) == Container(data=header, is_first=first)
        assert reader.receive(b"") == Container(data=b"", is_first=False)
        assert reader.receive(b"more") == Container(data=b"more", is_first=False)
    assert isinstance(reader.receive(wav(CLIP)), Pcm)
    assert isinstance(reader.receive(CLIP.tobytes()), Pcm)
    reader.clear()
    assert reader.receive(header) == Container(data=header, is_first=True)


def test_pages_of_ogg_that_are_not_the_first_go_on() -> None:
    reader = BlobReader()
    reader.receive(OGG)
    assert reader.receive(b"OggS\0\0" + bytes(20)) == Container(data=b"OggS\0\0" + bytes(20), is_first=False)


def test_a_container_that_failed_is_not_taken_for_samples() -> None:
    reader = BlobReader()
    reader.receive(EBML)
    reader.fail()
    for _ in range(2):
        with pytest.raises(BadAudio, match="begin again"):
            reader.receive(bytes(100))
    assert reader.receive(EBML) == Container(data=EBML, is_first=True)
    reader.fail()
    reader.clear()
    assert isinstance(reader.receive(CLIP.tobytes()), Pcm)


def test_clearing_keeps_what_is_open() -> None:
    reader = BlobReader()
    samples_of(reader, [wav(CLIP, rate=8_000)])
    reader.clear()
    assert samples_of(reader, [CLIP.tobytes()])[1] == {8_000}
    reader.receive(EBML)
    reader.clear()
    assert reader.receive(b"more") == Container(data=b"more", is_first=False)


def test_behind_a_bad_header_comes_nothing() -> None:
    reader = BlobReader()
    for frame in (riff(fmt(PCM, 12, block=2), data(bytes(8))), bytes(100), b""):
        with pytest.raises(BadAudio):
            reader.receive(frame)
    assert samples_of(reader, [wav(CLIP)])[1] == {16_000}


@pytest.mark.parametrize("name", NO_SOUND)
def test_what_is_no_sound_is_refused_and_forgotten(name: str) -> None:
    reader = BlobReader()
    with pytest.raises(BadAudio):
        reader.receive(NO_SOUND[name])
    assert samples_of(reader, [CLIP.tobytes()])[1] == {16_000}


def test_speech_is_never_taken_for_anything_else() -> None:
    for path in CLIPS.glob("*.wav"):
        clip = read_clip(path)
        for data_ in (clip.tobytes(), (clip / 32768).astype("<f4").tobytes()):
            for begin in range(0, len(data_) - 64, 64):
                assert not begins_container(data_[begin : begin + 64])
            sound, _ = samples_of(BlobReader(), pieces(data_, 1600))
            np.testing.assert_array_equal(sound[-1000:], clip[-1000:])


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([*HEADERS, *NO_SOUND.values(), wav(CLIP[:50])]))))
def test_no_frames_do_harm(frames: list[bytes]) -> None:
    reader = BlobReader()
    for frame in frames:
        try:
            reader.receive(frame)
        except BadAudio as error:
            assert error.message.endswith(".")
