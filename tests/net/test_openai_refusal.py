"""Paths below /v1 that are none, or take another method."""

import asyncio
from pathlib import Path

import pytest

from gateway_support import Front

SHAPE = {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/audio/transcriptions", "GET", "POST"),
        ("/v1/audio/translations", "DELETE", "POST"),
        ("/v1/realtime/client_secrets", "GET", "POST"),
        ("/v1/models", "POST", "GET"),
        ("/v1/models/echo/load", "GET", "POST"),
    ],
)
def test_another_method_is_named(tmp_path: Path, path: str, method: str, allowed: str) -> None:
    answer = asyncio.run(Front(tmp_path).ask(path, method))
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"].keys() == SHAPE
    assert (answer.json()["error"]["type"], answer.json()["error"]["code"]) == ("invalid_request_error", "bad_message")
    assert allowed in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/", "/v1/audio/", "/v1/..%2fconfig.json", "/v1//models"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_where_nothing_is(tmp_path: Path, path: str, method: str) -> None:
    answer = asyncio.run(Front(tmp_path).ask(path, method))
    assert answer.status_code == 404
    assert answer.json()["error"].keys() == SHAPE
    assert answer.json()["error"]["code"] == "not_found"


def test_elsewhere_refusals_are_the_daemon_s_own(tmp_path: Path) -> None:
    answer = asyncio.run(Front(tmp_path).ask("/nothing"))
    assert (answer.status_code, answer.json()["type"]) == (404, "error")


def test_what_is_there_is_served(tmp_path: Path) -> None:
    assert asyncio.run(Front(tmp_path).ask("/v1/models")).json()["object"] == "list"
