"""Loading and unloading over HTTP: the same events as over a WebSocket, and nobody's but a controller's to do."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from gateway_support import Front
from hotmic.errors import DownloadFailed, EngineFailed, HotmicError, ModelUnavailable, Superseded
from hotmic.net.model_route import MAX_WAITING
from hotmic.net.security import Tokens
from hotmic.values import LoadMode, LoadProgress, ModelStatus
from net_support import FakePeer

LOAD, UNLOAD = "/v1/models/echo/load", "/v1/models/echo/unload"
JSON = {"Content_Type": "application/json"}


class Loader:
    """Stands for the pool's loading: notes what was asked, waits until it may end, ends as it was told."""

    def __init__(self, front: Front, *, fails: HotmicError | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._fails = fails
        front.house.pool.load = self._load  # type: ignore[method-assign]
        front.house.pool.unload = self._unload  # type: ignore[method-assign]

    async def _load(self, model_id: str, *, mode: LoadMode, report: Callable[[LoadProgress], None]) -> ModelStatus:
        self.asked.append((model_id, mode))
        report(LoadProgress(model_id=model_id, stage="loading", progress=0.5))
        await self._end()
        return ModelStatus(model_id=model_id, state="serving", load_seconds=1.25)

    async def _unload(self, model_id: str) -> None:
        self.asked.append((model_id, "unload"))
        await self._end()

    async def _end(self) -> None:
        await self.may_end.wait()
        if self._fails is not None:
            raise self._fails


def told(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def test_it_answers_when_it_is_done_and_every_controller_hears_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        loader.may_end.clear()
        ear = FakePeer()
        listening = front.house.admit(ear)
        answer = asyncio.create_task(front.ask(LOAD, "POST"))
        while not loader.asked:
            await asyncio.sleep(0)
        assert not answer.done()
        loader.may_end.set()
        loaded = {"type": "model_loaded", "model_id": "echo", "status": "success", "load_seconds": 1.25}
        assert told(await answer) == (200, loaded)
        assert told(await front.ask(UNLOAD, "POST")) == (200, {"type": "model_unloaded", "model_id": "echo"})
        while len(ear.sent) < 3:
            await asyncio.sleep(0)
        assert ear.kinds == ["connected", "model_loaded", "model_unloaded"]
        ear.leave()
        await listening
        assert loader.asked == [("echo", "beside"), ("echo", "unload")]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "load", "unload"),
    [
        (ModelUnavailable("No room."), 503, 409),
        (DownloadFailed("No net."), 502, 502),
        (EngineFailed("Broken."), 502, 502),
        (Superseded("Another."), 409, 409),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_failure_has_its_code_and_status(tmp_path: Path, error: HotmicError, load: int, unload: int) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        Loader(front, fails=error)
        for path, status in ((LOAD, load), (UNLOAD, unload)):
            code, body = told(await front.ask(path, "POST"))
            assert (code, body["type"], body["code"], body["message"]) == (status, "error", error.code, error.message)

    asyncio.run(main())


def test_a_mistake_of_ours_stays_in_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        Loader(front, fails=RuntimeError("secret")).may_end.set()  # type: ignore[arg-type]
        answer = await front.ask(LOAD, "POST")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert answer.json()["log_id"]
        assert "secret" not in answer.text

        def fail() -> list[ModelStatus]:
            raise RuntimeError("secret")

        front.house.pool.status = fail  # type: ignore[method-assign]
        answer = await front.ask("/health")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "secret" not in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    asyncio.run(main())


HOSTILE = [
    "nothing", "ECHO", "echo ", "echo%00", "%2e%2e", "..%2fecho", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd",
    "echo%2f..", "https:%2f%2fevil.example%2fmodel", "owner%2fname", "-", "", "%ff%fe", "%0d%0aSet-Cookie:%20a=b",
    "echo;ls", "$(id)", "%F0%9F%8E%A4",
    "x" * 64, "x" * 65, "x" * 5000, "<script>alert(1)<%2fscript>", "echo%2fload", "__proto__", "null",
]  # fmt: skip


@pytest.mark.parametrize("model_id", HOSTILE, ids=lambda value: value[:30])
def test_ids_that_are_no_keys_of_the_registry_are_not_found(tmp_path: Path, model_id: str) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        for action in ("load", "unload"):
            answer = await front.ask(f"/v1/models/{model_id}/{action}", "POST")
            assert (answer.status_code, answer.json()["code"] in ("unknown_model", "not_found")) == (404, True)
            assert len(answer.content) < 400
            assert "set-cookie" not in answer.headers
        assert loader.asked == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "headers", "outcome"),
    [
        (None, {}, "beside"),
        (b"", JSON, "beside"),
        (b"{}", JSON, "beside"),
        (b'{"mode": "replace"}', JSON, "replace"),
        (b'{"mode": "replace"}', {"Content_Type": "Application/JSON; charset=utf-8"}, "replace"),
        (b'{"mode": "beside", "later": 1}', JSON, "beside"),
        (b'{"mode": "replace"}', {}, "bad_field"),
        (b'{"mode": "replace"}', {"Content_Type": "text/plain"}, "bad_field"),
        (b"", {"Content_Type": "text/plain"}, "bad_field"),
        (b"mode=replace", {"Content_Type": "application/x-www-form-urlencoded"}, "bad_field"),
        (b"--b\r\n\r\n--b--", {"Content_Type": "multipart/form-data; boundary=b"}, "bad_field"),
        (b'{"mode": "other"}', JSON, "bad_field"),
        (b'{"mode": 1}', JSON, "bad_field"),
        (b"[]", JSON, "bad_field"),
        (b"null", JSON, "bad_field"),
        (b"{", JSON, "invalid_json"),
        (b"\xff\xfe", JSON, "invalid_json"),
        (b"[" * 4000, JSON, "bad_field"),
        (b'{"mode": "' + b"x" * 5000, JSON, "too_large"),
    ],
)
def test_the_body_is_json_or_nothing(tmp_path: Path, body: bytes | None, headers: dict[str, str], outcome: str) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        answer = await front.ask(LOAD, "POST", body=body, **headers)
        if outcome in ("beside", "replace"):
            assert (answer.status_code, loader.asked) == (200, [("echo", outcome)])
        else:
            assert (answer.status_code, answer.json()["code"]) == (413 if outcome == "too_large" else 400, outcome)
            assert loader.asked == []

    asyncio.run(main())


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", ""])
@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_a_page_of_another_origin_cannot_trigger_it(tmp_path: Path, path: str, origin: str) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        for headers in ({}, JSON):
            answer = await front.ask(path, "POST", Origin=origin, **headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_authorized")
        assert (await front.ask(path, "GET")).status_code == 405  # an image or a link does nothing
        assert loader.asked == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("token", "status"),
    [("", 401), ("wrong-wrong-wrong-wrong", 403), ("listens-and-speaks", 403), ("controls-everything", 200)],
)
def test_only_a_controller_may(tmp_path: Path, token: str, status: int) -> None:
    (tmp_path / "tokens").write_text("ears:listens-and-speaks:listen,speak\nboss:controls-everything:control\n")

    async def main() -> None:
        front = Front(tmp_path, tokens=Tokens.load(tmp_path / "tokens"))
        loader = Loader(front)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert [(await front.ask(path, "POST", **headers)).status_code for path in (LOAD, UNLOAD)] == [status, status]
        assert len(loader.asked) == (2 if status == 200 else 0)
        if status != 200:  # an id tells nothing to those who may not ask
            assert (await front.ask("/v1/models/nothing/load", "POST", **headers)).status_code == status

    asyncio.run(main())


def test_the_log_tells_who_asked(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("ears:listens-and-speaks:listen,speak\nboss:controls-everything:control\n")

    async def main() -> list[tuple[str, str, str, str]]:
        front = Front(tmp_path, tokens=Tokens.load(tmp_path / "tokens"))
        Loader(front)
        with structlog.testing.capture_logs() as lines:
            for token in ("controls-everything", "listens-and-speaks", "wrong-wrong-wrong-wrong"):
                await front.ask(LOAD, "POST", Authorization=f"Bearer {token}")
            await front.ask("/v1/models/nothing/unload", "POST", Authorization="Bearer controls-everything")
            await front.ask("/health", Origin="https://evil.example")
        audits = [line for line in lines if line["event"] == "audit"]
        return [(line["action"], line["who"], line["address"], line["outcome"]) for line in audits]

    assert asyncio.run(main()) == [
        ("load_model", "boss", "127.0.0.1", "accepted"),
        ("request", "", "127.0.0.1", "not_authorized"),
        ("request", "", "127.0.0.1", "not_authorized"),
        ("unload_model", "boss", "127.0.0.1", "unknown_model"),
        ("request", "", "127.0.0.1", "not_authorized"),
    ]


def test_only_so_many_wait_and_none_waits_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        loader.may_end.clear()
        waiting = [asyncio.create_task(front.ask(LOAD, "POST")) for _ in range(MAX_WAITING)]
        while len(loader.asked) < MAX_WAITING:
            await asyncio.sleep(0)
        answer = await front.ask(LOAD, "POST")
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, "rate_limited", "1")
        await front.house.control.close()
        for answer in await asyncio.gather(*waiting):
            assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
        loader.may_end.set()
        assert (await front.ask(LOAD, "POST")).status_code == 200

    asyncio.run(main())


def test_a_daemon_that_stops_loads_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        loader = Loader(front)
        front.reception.drain()
        answer = await front.ask(LOAD, "POST")
        assert (answer.status_code, answer.json()["code"], loader.asked) == (503, "shutting_down", [])

    asyncio.run(main())
