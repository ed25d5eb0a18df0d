from pathlib import Path

import pytest

from demo_model import prepare
from demo_model.prepare import PrepareSettings
from demo_model.speech import RecipeError


class FailedProcess:
    """A process that has ended with an error."""

    exitcode = 1

    def join(self) -> None:
        pass

    def is_alive(self) -> bool:
        return False


def test_without_recordings_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.load_people(PrepareSettings(tmp_path)) == (None, None)
    assert "synthetic speech only" in capsys.readouterr().out


def test_a_failed_process_stops_the_recipe(tmp_path: Path) -> None:
    settings = PrepareSettings(tmp_path)
    with pytest.raises(RecipeError, match="making clips failed"):
        prepare.wait_for_first(settings, [FailedProcess()])
    with pytest.raises(RecipeError):
        prepare.finish([FailedProcess()])


def test_training_may_begin_with_some_shards(tmp_path: Path) -> None:
    settings = PrepareSettings(tmp_path)
    settings.shards.mkdir()
    (settings.shards / "a.clips").touch()
    prepare.wait_for_first(settings, [], shards=1)
