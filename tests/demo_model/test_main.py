from pathlib import Path

import pytest

from demo_model.__main__ import main
from demo_model.prepare import SHIPPED


def test_a_wrong_speech_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "--work", str(tmp_path / "work"), "--speech", str(tmp_path), "--init", str(SHIPPED)]
    assert main(arguments) == 1
    assert "orders/transcripts.json" in capsys.readouterr().err
    assert (tmp_path / "work" / "tokenizer.json").is_file()


def test_training_before_preparing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--work", str(tmp_path)]) == 1
    assert "run prepare first" in capsys.readouterr().err


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["guess", "--work", str(tmp_path)])
