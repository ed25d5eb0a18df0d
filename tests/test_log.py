import contextlib
import logging
from pathlib import Path

import pytest
import structlog

from hotmic.errors import ConfigError
from hotmic.log import LogStream, configure_log, redact

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")


def test_lines_are_appended(tmp_path: Path) -> None:
    for line in ("one", "two"):
        with contextlib.closing(LogStream(tmp_path / "log")) as log:
            log.write(f"{line}\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("name", ["", "missing/log"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"log_file: .* cannot be written") as caught:
        LogStream(tmp_path / name)
    assert caught.value.key == "log_file"


@needs_full
def test_a_full_disk_costs_lines_and_is_noted_until_there_is_room(tmp_path: Path) -> None:
    with contextlib.closing(LogStream(FULL)) as full, contextlib.closing(LogStream(tmp_path / "log")) as roomy:
        logger = structlog.wrap_logger(structlog.WriteLogger(full))  # type: ignore[arg-type]
        logger.info("lost")
        assert "no space left on device" in LogStream.problem
        roomy.write("kept\n")
        assert LogStream.problem == ""


@needs_full
def test_lines_of_libraries_do_not_fail_either(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(LogStream(FULL)) as full:
        stream = logging.StreamHandler(full)  # type: ignore[arg-type]
        stream.emit(logging.makeLogRecord({"msg": "lost"}))
    LogStream.problem = ""
    assert capsys.readouterr().err == ""


CANARY = "canary6f1d9c2b7aXYZ_-09"
CARRIERS = [
    f"Authorization: Bearer {CANARY}",
    f"authorization: bearer   {CANARY}",
    f"Authorization: Basic {CANARY}",
    f"Sec-WebSocket-Protocol: realtime, hotmic-token.{CANARY}",
    f"realtime, openai-insecure-api-key.{CANARY}, other",
    f"GET /ws/transcribe?client_id=1&token={CANARY}&x=2 HTTP/1.1",
    f"GET /?token={CANARY}",
    f'{{"type":"authenticate","token":"{CANARY}"}}',
    f"{{'type': 'authenticate', 'token': '{CANARY}'}}",
    f"Wish(path='/', token='{CANARY}')",
    f"Credentials(authorization='Bearer {CANARY}')",
    f"the secret ek_{CANARY} was used",
    f"hm_{CANARY}",
    f"sk-{CANARY}",
]


@pytest.mark.parametrize("text", CARRIERS)
def test_secrets_are_taken_out_of_any_carrier(text: str) -> None:
    assert CANARY not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "The token is not valid.",
        "token: the file has 3 tokens; send the token as a header",
        "http://127.0.0.1:8000/?channel=kitchen&session=a",
        "Two different tokens were presented; present one.",
        "hm_short sk-learn ek_",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_log_line_and_no_traceback_tells_a_secret(tmp_path: Path, form: str) -> None:
    path = tmp_path / "log"
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    try:
        logging.getLogger().handlers.clear()
        configure_log(file=path, format=form)  # type: ignore[arg-type]
        log = structlog.get_logger("test")
        for text in CARRIERS:
            log.info(text, headers={"all": [text]}, pair=("x", text), plain=text)
            logging.getLogger("library").error("%s", text)
            try:
                raise ValueError(text)
            except ValueError:
                log.exception("It failed.")
                logging.getLogger("library").exception("It failed.")
    finally:
        structlog.configure(**before)
        for handler in logging.getLogger().handlers:
            handler.stream.close()  # type: ignore[attr-defined]
        logging.getLogger().handlers[:] = handlers
    lines = path.read_text()
    assert lines.count("***") > 5 * len(CARRIERS)
    assert "Traceback" in lines
    assert CANARY not in lines
