import asyncio
from pathlib import Path

import pytest

from hotmic.app import Daemon
from hotmic.config.settings import load_settings


def test_every_part_is_closed_whatever_another_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    async def break_off() -> None:
        raise RuntimeError("planted")

    async def main() -> None:
        daemon = Daemon(load_settings(models_dir=str(tmp_path)))
        close = daemon.pool.close

        async def close_pool() -> None:
            await close()
            closed.append("pool")

        monkeypatch.setattr(daemon.control, "close", break_off)
        monkeypatch.setattr(daemon.pool, "close", close_pool)
        with pytest.raises(RuntimeError, match="planted"):
            await daemon.close()

    asyncio.run(main())
    assert closed == ["pool"]
