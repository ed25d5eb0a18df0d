import json
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from openai.types.realtime.client_secret_create_response import ClientSecretCreateResponse
from starlette.testclient import TestClient

from hotmic.config.token_file import digest
from hotmic.errors import NotAuthorized
from hotmic.net.client_secret_route import MAX_BODY, PATH, add_client_secrets
from hotmic.net.grant import Grant
from hotmic.net.security import Access, Credentials, Tokens

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def door(*, tokens: bool = True, scopes: tuple[str, ...] = ("control", "speak", "listen")) -> tuple[Access, TestClient]:
    grants = {digest(TOKEN): Grant(name="alice", scopes=scopes, token_id="a1")} if tokens else {}
    access = Access(host="127.0.0.1", tokens=Tokens(grants), clock=lambda: 1000.0)
    app = FastAPI()
    add_client_secrets(app, access)
    return access, TestClient(app)


def test_a_secret_opens_a_connection_with_its_configuration() -> None:
    access, client = door()
    session = {"type": "transcription", "audio": {"input": {"turn_detection": None}}, "include": []}
    body = {"expires_after": {"anchor": "created_at", "seconds": 30}, "session": session}
    answer = client.post(PATH, json=body, headers=BEARER)
    assert answer.status_code == 200
    made = answer.json()
    assert made["expires_at"] == 1030
    assert made["value"].startswith("ek_")
    assert made["session"].items() >= {**session, "object": "realtime.transcription_session"}.items()
    grant = access.grant(Credentials(protocols=("realtime", f"openai-insecure-api-key.{made['value']}")))
    assert grant is not None
    assert (grant.name, grant.scopes) == ("alice", ("speak", "listen"))
    assert json.loads(grant.session_config) == session
    with pytest.raises(NotAuthorized):
        access.grant_token(made["value"])


def test_the_log_tells_who_made_one_and_never_which() -> None:
    _, client = door()
    with structlog.testing.capture_logs() as lines:
        made = client.post(PATH, headers=BEARER).json()["value"]
        client.post(PATH, headers={"Authorization": "Bearer wrong"})
    told = [(line["action"], line["who"], line["outcome"]) for line in lines if line["event"] == "audit"]
    assert told == [("create_client_secret", "alice", "ok"), ("create_client_secret", "", "not_authorized")]
    assert made not in str(lines)


def test_nothing_need_be_asked_for() -> None:
    _, client = door()
    answer = client.post(PATH, headers=BEARER)
    assert answer.json()["expires_at"] == 1600
    assert answer.json()["session"]["type"] == "transcription"


def test_the_types_of_the_library_hold() -> None:
    _, client = door()
    made = ClientSecretCreateResponse.model_validate(client.post(PATH, headers=BEARER).json())
    assert made.session.type == "transcription"


WRONG: list[tuple[Any, str]] = [
    (b"{", "invalid_json"),
    (b"\xff", "invalid_json"),
    (b'{"session":{"a":' + b"[" * 9000, "invalid_json"),
    (b"[]", "bad_field"),
    (b'{"session":[]}', "bad_field"),
    (b'{"session":{"type":"realtime"}}', "bad_field"),
    (b'{"expires_after":{"seconds":9}}', "bad_field"),
    (b'{"expires_after":{"seconds":7201}}', "bad_field"),
    (b'{"expires_after":{"anchor":"never"}}', "bad_field"),
    (b'{"session":{"a":"' + b"x" * MAX_BODY + b'"}}', "too_large"),
]


@pytest.mark.parametrize(("body", "code"), WRONG)
def test_bad_requests_are_told(body: bytes, code: str) -> None:
    _, client = door()
    answer = client.post(PATH, content=body, headers=BEARER)
    assert answer.status_code == (413 if code == "too_large" else 400)
    assert answer.json()["error"]["code"] == code


def test_what_is_nested_as_deep_as_can_be_read_can_be_told_too() -> None:
    _, client = door()
    depths = range(500, 1_100, 4)
    bodies = [b'{"session":{"a":' + b"[" * depth + b"]" * depth + b"}}" for depth in depths]
    answers = [client.post(PATH, content=body, headers=BEARER).status_code for body in bodies]
    assert answers == sorted(answers)
    assert set(answers) == {200, 400}


def test_who_may_not_is_told() -> None:
    _, client = door()
    assert client.post(PATH).status_code == 401
    assert client.post(PATH, headers={"Authorization": "Bearer nope"}).status_code == 403
    secret = client.post(PATH, headers=BEARER).json()["value"]
    assert client.post(PATH, headers={"Authorization": f"Bearer {secret}"}).status_code == 403
    _, client = door(scopes=("control",))
    assert client.post(PATH, headers=BEARER).status_code == 403


def test_without_tokens_a_secret_carries_its_configuration_too() -> None:
    access, client = door(tokens=False)
    value = client.post(PATH, json={"session": {"include": ["x"]}}).json()["value"]
    assert access.grant_token("anything") == Grant()
    assert json.loads(access.grant_token(value).session_config) == {"type": "transcription", "include": ["x"]}
    with pytest.raises(NotAuthorized):
        access.grant_token(value)
