"""Every state of a daemon at every health endpoint."""

import asyncio
from pathlib import Path

import pytest

from gateway_support import Front
from hotmic.net.security import Tokens
from hotmic.values import ModelState, ModelStatus

ECHO, OTHER = "echo", "other"


def model(state: ModelState, model_id: str = ECHO, *, restarts: int = 0) -> ModelStatus:
    return ModelStatus(model_id=model_id, state=state, restarts=restarts)


# The current model, what the pool says, whether the daemon stops; then /health, /live, /ready, /extended.
TABLE = {
    "serving": ((ECHO, [model("serving")], False), (200, 200, 200, 200)),
    "serving, another is loaded": ((ECHO, [model("serving"), model("loading", OTHER)], False), (200, 200, 200, 200)),
    "serving, another failed": ((ECHO, [model("serving"), model("failed", OTHER)], False), (200, 200, 200, 200)),
    "serving, its worker was replaced": ((ECHO, [model("serving", restarts=3)], False), (200, 200, 200, 200)),
    "serving, its broken twin retires": ((ECHO, [model("unavailable"), model("serving")], False), (200, 200, 200, 200)),
    "loading the first model": ((None, [model("loading")], False), (503, 200, 503, 503)),
    "warming the first model": ((None, [model("warming")], False), (503, 200, 503, 503)),
    "replacing": ((None, [model("retiring"), model("loading", OTHER)], False), (503, 200, 503, 503)),
    "the first model failed": ((None, [model("failed")], False), (503, 200, 503, 503)),
    "unloaded": ((None, [], False), (503, 200, 503, 503)),
    "a session's own model alone": ((None, [model("serving", OTHER)], False), (503, 200, 503, 503)),
    "breaker open": ((ECHO, [model("unavailable")], False), (503, 200, 503, 503)),
    "draining": ((ECHO, [model("serving")], True), (503, 200, 503, 503)),
}
ENDPOINTS = ("/health", "/health/live", "/health/ready", "/health/extended")
REASONS = {
    "loading the first model": "a model is being loaded",
    "unloaded": "no model is serving",
    "breaker open": "the model echo keeps crashing and is given up",
    "draining": "stopping",
}


@pytest.mark.parametrize("state", TABLE)
def test_truth_table(tmp_path: Path, state: str) -> None:
    (current, models, is_draining), expected = TABLE[state]

    async def main() -> None:
        front = Front(tmp_path, models=tuple(models))
        front.house.pool.current, front.is_draining = current, is_draining
        answers = [await front.ask(path) for path in ENDPOINTS]
        assert tuple(answer.status_code for answer in answers) == expected
        for path, answer in zip(ENDPOINTS, answers, strict=True):
            body = answer.json()
            assert (body["status"] == "ok") == (answer.status_code == 200), path
            assert ("reason" in body) == (answer.status_code == 503), path
            if answer.status_code == 503 and state in REASONS:
                assert body["reason"] == REASONS[state]
        assert front.registry.get_sample_value("hotmic_ready") == float(expected[0] == 200)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("token", "status", "challenge"),
    [
        ("", 401, "Bearer"),
        ("wrong-wrong-wrong", 403, None),
        ("listens-and-speaks", 403, None),
        ("controls-everything", 200, None),
    ],
)
def test_only_what_is_told_in_full_needs_a_token_that_controls(
    tmp_path: Path, token: str, status: int, challenge: str | None
) -> None:
    (tmp_path / "tokens").write_text("ears:listens-and-speaks:listen,speak\nboss:controls-everything\n")

    async def main() -> None:
        front = Front(tmp_path, models=(model("serving"),), tokens=Tokens.load(tmp_path / "tokens"))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for path in ENDPOINTS[:3]:
            assert (await front.ask(path, **headers)).status_code == 200
        answer = await front.ask("/health/extended", **headers)
        assert (answer.status_code, answer.headers.get("WWW-Authenticate")) == (status, challenge)
        if status != 200:
            assert answer.json()["code"] == "not_authorized"
            assert "models" not in answer.json()

    asyncio.run(main())
