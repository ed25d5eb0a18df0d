"""Pages of other origins: who may read answers, and who may ask at all."""

import asyncio
from pathlib import Path

import pytest

from gateway_support import Front
from hotmic.values import ModelStatus

HOST = "http://127.0.0.1:8000"
CAPTIONS = "https://captions.example"
ALLOWED = "Access-Control-Allow-Origin"
SERVING = (ModelStatus(model_id="echo", state="serving"),)

# allowed_origins, allow_null_origin, the Origin of the request; then the status, and whether the page may read it.
READING = [
    ((), False, None, 200, False),
    ((), False, HOST, 200, False),  # the daemon's own page needs no permission
    ((), False, "http://localhost:3000", 200, False),  # may ask from this machine, may not read
    ((), False, CAPTIONS, 403, False),
    ((), False, "null", 403, False),
    ((CAPTIONS,), False, None, 200, False),
    ((CAPTIONS,), False, CAPTIONS, 200, True),
    (("https://Captions.example/",), False, CAPTIONS, 200, True),
    ((CAPTIONS,), False, "http://captions.example", 403, False),
    ((CAPTIONS,), False, "https://captions.example:444", 403, False),
    ((CAPTIONS,), False, "https://captions.example.evil.example", 403, False),
    ((CAPTIONS,), False, "https://evilcaptions.example", 403, False),
    ((CAPTIONS,), False, "https://captions.example@evil.example", 403, False),
    ((CAPTIONS,), False, "https://other.captions.example", 403, False),
    ((CAPTIONS,), False, f"{CAPTIONS}, https://evil.example", 403, False),
    ((CAPTIONS,), False, "null", 403, False),
    ((CAPTIONS,), True, "null", 200, True),
    ((), True, "null", 200, True),
    (("*",), False, CAPTIONS, 403, False),
    (("*",), False, "*", 200, False),
    (("null",), False, "null", 403, False),
]


@pytest.mark.parametrize(("origins", "allow_null", "origin", "status", "is_readable"), READING)
def test_who_may_read(
    tmp_path: Path, origins: tuple[str, ...], allow_null: bool, origin: str | None, status: int, is_readable: bool
) -> None:
    async def main() -> None:
        front = Front(tmp_path, models=SERVING, origins=origins, allow_null=allow_null)
        headers = {"Origin": origin} if origin is not None else {}
        for path in ("/health", "/metrics", "/index.html"):
            answer = await front.ask(path, **headers)
            assert answer.status_code == status
            assert answer.headers.get(ALLOWED) == (origin if is_readable else None)
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers

    asyncio.run(main())


def test_an_allowed_page_may_read_why_it_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path, origins=(CAPTIONS,))
        for path, status in (("/nothing", 404), ("/health", 503)):
            answer = await front.ask(path, Origin=CAPTIONS)
            assert (answer.status_code, answer.headers[ALLOWED]) == (status, CAPTIONS)

    asyncio.run(main())


# Origin, path, the method that is asked for; then the methods that are granted, or the status of a refusal.
ASKING = [
    (CAPTIONS, "/v1/models/echo/load", "POST", "POST"),
    (CAPTIONS, "/v1/models/echo/unload", "POST", "POST"),
    (CAPTIONS, "/health/extended", "GET", "GET"),
    (CAPTIONS, "/v1/models/echo/load", "DELETE", 405),
    (CAPTIONS, "/health/extended", "POST", 405),
    (CAPTIONS, "/nothing", "GET", 405),
    (CAPTIONS, "/index.html", "GET", 405),
    (CAPTIONS, "/health", "*", 405),
    ("http://localhost:3000", "/v1/models/echo/load", "POST", 405),
    ("https://evil.example", "/v1/models/echo/load", "POST", 403),
    ("null", "/v1/models/echo/load", "POST", 403),
]


@pytest.mark.parametrize(("origin", "path", "wanted", "outcome"), ASKING)
def test_preflight(tmp_path: Path, origin: str, path: str, wanted: str, outcome: str | int) -> None:
    async def main() -> None:
        front = Front(tmp_path, models=SERVING, origins=(CAPTIONS,))
        answer = await front.ask(
            path,
            "OPTIONS",
            Origin=origin,
            Access_Control_Request_Method=wanted,
            Access_Control_Request_Headers="authorization,content-type",
        )
        granted = answer.headers.get("Access-Control-Allow-Methods")
        assert (granted or answer.status_code) == outcome
        if granted:
            assert answer.status_code == 204
            assert answer.headers[ALLOWED] == CAPTIONS
            assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert "*" not in "".join(v for k, v in answer.headers.items() if k.startswith("access-control"))

    asyncio.run(main())
