import contextlib
import logging
from pathlib import Path

import pytest
import structlog

from hotmic.errors import ConfigError
from hotmic.log import LogStream

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
