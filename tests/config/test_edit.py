from pathlib import Path

import pytest

from hotmic.config.edit import EditedFile
from hotmic.errors import ConfigError


def read(path: Path) -> str:
    text = path.read_text()
    if text == "broken":
        raise ConfigError("It is broken.")
    return text


def test_an_edit_counts_once_it_was_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    file = EditedFile(path, "one", read)
    assert file.changed() is None
    path.write_text("other")
    assert file.changed() is None, "it may not be whole yet"
    assert file.changed() == "other"
    assert file.changed() is None
    path.write_text("broken")
    file.changed()
    assert isinstance(file.changed(), ConfigError)
    assert file.value == "other"
    path.write_text("other")
    file.changed()
    assert file.changed() == "other", "mended"


def test_a_mistake_of_ours_does_not_make_it_forget_the_edit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    mistakes = [RuntimeError("ours"), RuntimeError("ours again")]

    def fail_twice(path: Path) -> str:
        if mistakes:
            raise mistakes.pop()
        return read(path)

    file = EditedFile(path, "one", fail_twice)
    path.write_text("other")
    file.changed()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            file.changed()
    assert file.changed() == "other"
