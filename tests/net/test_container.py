import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from file_support import encoded, tone, wav
from hotmic.errors import BadAudio, EngineFailed, HotmicError, TooLarge
from hotmic.net.container import ContainerLimits, ContainerStream
from hotmic.values import Samples

GUARD = 60.0
KINDS = [
    ("wav", "pcm_s16le", 44_100),
    ("mp3", "libmp3lame", 44_100),
    ("ogg", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("mp4", "aac", 48_000),
    ("flac", "flac", 16_000),
]


async def decode(pieces: list[bytes], limits: ContainerLimits | None = None) -> Samples:
    async with asyncio.timeout(GUARD), ContainerStream(limits) as stream:

        async def feed() -> None:
            for piece in pieces:
                await stream.feed(piece)
            await stream.finish()

        feeding = asyncio.create_task(feed())
        try:
            heard = [samples async for samples in stream]
            await feeding
        except HotmicError:
            await asyncio.gather(feeding, return_exceptions=True)
            raise
        return np.concatenate(heard)


def recording() -> bytes:
    """Return eight seconds, 11 kB each, as a browser records them."""
    return encoded("webm", "libopus", tone(48_000, 8.0), 48_000)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("name", "codec", "rate"), KINDS)
def test_how_a_file_is_cut_changes_nothing(name: str, codec: str, rate: int) -> None:
    data = encoded(name, codec, tone(rate, 3.0), rate)

    @settings(max_examples=3)
    @given(st.lists(st.integers(1, len(data) - 1), max_size=40, unique=True).map(sorted))
    def check(cuts: list[int]) -> None:
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert np.array_equal(asyncio.run(decode(pieces)), whole)

    whole = asyncio.run(decode([data]))
    assert abs(len(whole) - 48_000) < 1_600
    check()


def test_a_recording_is_decoded_while_it_comes() -> None:
    async def main() -> None:
        async with asyncio.timeout(GUARD), ContainerStream() as stream:
            await stream.feed(recording()[:40_000])
            heard = 0
            while heard < 3 * 16_000:  # the other half is still to be spoken
                heard += len(await anext(stream))

    asyncio.run(main())


@pytest.mark.parametrize("data", [b"", b"not audio at all " * 50, b"RIFF\x00\x00", bytes(200_000)])
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadAudio):
        asyncio.run(decode([data]))


def test_a_tiny_file_of_hours_stops_at_the_limit() -> None:
    bomb = encoded("flac", "flac", np.zeros(16_000 * 3600, dtype=np.int16), 16_000)
    assert len(bomb) < 1_000_000
    with pytest.raises(TooLarge, match="60 s"):
        asyncio.run(decode([bomb], ContainerLimits(max_seconds=60)))


def test_a_long_file_stops_at_the_limit() -> None:
    with pytest.raises(TooLarge, match="1000 bytes"):
        asyncio.run(decode([wav(tone(16_000, 1.0))], ContainerLimits(max_bytes=1000)))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (signal.SIGKILL, EngineFailed, "killed"),
        (signal.SIGSEGV, BadAudio, "broke off"),
        (signal.SIGSTOP, BadAudio, "takes too long"),
    ],
)
def test_a_decoder_that_ends_or_hangs_is_a_clean_error(number: int, kind: type[HotmicError], words: str) -> None:
    async def main() -> int:
        async with asyncio.timeout(GUARD), ContainerStream(ContainerLimits(patience=0.2)) as stream:
            await stream.feed(recording()[:40_000])
            await anext(stream)
            pid = stream.pid
            os.kill(pid, number)
            await stream.finish()
            with pytest.raises(kind, match=words):
                async for _ in stream:
                    pass
            with pytest.raises(kind, match=words):
                await stream.feed(bytes(1 << 20))
            return pid

    assert is_gone(asyncio.run(main()))


def test_a_decoder_may_wait_for_its_peer_as_long_as_it_takes() -> None:
    async def main() -> None:
        async with asyncio.timeout(GUARD), ContainerStream(ContainerLimits(patience=0.02)) as stream:
            await stream.feed(recording()[:40_000])
            await anext(stream)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    async for _ in stream:
                        pass

    asyncio.run(main())


def test_a_reader_that_takes_its_time_holds_the_sender_back() -> None:
    data = wav(tone(16_000, 120.0))

    async def main() -> int:
        async with asyncio.timeout(GUARD), ContainerStream() as stream:
            feeding = asyncio.create_task(stream.feed(data))
            heard = len(await anext(stream))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.0):
                    await asyncio.shield(feeding)
            async for samples in stream:
                heard += len(samples)
                if feeding.done():
                    await stream.finish()
            return heard

    assert asyncio.run(main()) == 120 * 16_000


def test_closing_ends_the_child_whatever_it_does() -> None:
    async def main() -> int:
        async with asyncio.timeout(GUARD):
            stream = ContainerStream()
            await stream.open()
            pid = stream.pid
            feeding = asyncio.create_task(stream.feed(wav(tone(16_000, 120.0))))
            await anext(stream)
            await stream.close()
            await stream.close()
            await asyncio.gather(feeding, return_exceptions=True)
            return pid

    assert is_gone(asyncio.run(main()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTMIC_TOKENS", "canary-secret")

    async def main() -> bytes:
        async with asyncio.timeout(GUARD), ContainerStream() as stream:
            await stream.feed(recording())
            await anext(stream)
            return await asyncio.to_thread(Path(f"/proc/{stream.pid}/environ").read_bytes)

    environment = asyncio.run(main())
    assert b"PYTHONPATH" in environment
    assert b"canary" not in environment
