"""What is told of a file while it is transcribed."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hotmic.commands import SessionOptions
from hotmic.events import FinalTranscribed
from hotmic.net import file_work
from hotmic.net.container import ContainerLimits


class Quiet:
    """A transcription of audio in which nobody speaks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.began, self.ends = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[FinalTranscribed]:
        self.began.set()
        await self.ends.wait()
        return
        yield

    async def close(self) -> None:
        self.ends.set()


def test_how_far_it_is_does_not_wait_for_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        quiet = Quiet()
        monkeypatch.setattr(file_work, "Transcription", lambda *_, **__: quiet)
        services: Any = SimpleNamespace(runner=None)
        pool: Any = SimpleNamespace(current="demo-en")
        work = file_work.FileWork(services, pool, ContainerLimits(), grant=None)  # type: ignore[arg-type]
        assert work.seconds == 0.0
        work.start(SessionOptions(), tenant="t")
        await quiet.began.wait()
        quiet.seconds = 12.5
        assert work.seconds == 12.5
        quiet.ends.set()
        assert await work.next_final() is None
        assert work.seconds == 12.5
        await work.close()

    asyncio.run(main())
