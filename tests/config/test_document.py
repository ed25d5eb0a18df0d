"""YAML values that know their place."""

from pathlib import Path

import pytest

from hotmic.config import document
from hotmic.errors import ConfigError


def root(text: str) -> document.Field:
    found = document.parse(text.encode(), "f.yaml")
    assert found
    return found


def test_values_are_read() -> None:
    fields = root("a: text\nb: 3\nc: 1.5\nd: true\ne: [x, y]\nf:\n").fields()
    assert fields["a"].text() == "text"
    assert fields["b"].integer(0, 5) == 3
    assert fields["c"].number(0, 5) == 1.5
    assert fields["d"].flag() is True
    assert [item.text() for item in fields["e"].items()] == ["x", "y"]
    assert fields["f"].empty


@pytest.mark.parametrize(
    ("text", "read", "place", "part"),
    [
        ("a: 3", lambda field: field.text(), (1, 4), "'3' is not a text"),
        ("\n a: x", lambda field: field.number(0, 1), (2, 5), "'x' is not a number"),
        ("a: true", lambda field: field.number(0, 1), (1, 4), "'true' is not a number"),
        ("a: 7", lambda field: field.number(0, 1), (1, 4), "a number from 0 to 1"),
        ("a: .nan", lambda field: field.number(0, 1), (1, 4), "out of range"),
        ("a: 0.5", lambda field: field.integer(0, 1), (1, 4), "not a whole number"),
        ("a: 1", lambda field: field.flag(), (1, 4), "true or false"),
        ("a: {b: 1}", lambda field: field.text(), (1, 4), "a mapping"),
        ("a: b", lambda field: list(field.items()), (1, 4), "not a list"),
        ("a: b", lambda field: field.fields(), (1, 4), "not a mapping"),
        ("a: 2020-01-01", lambda field: field.scalar(), (1, 4), "no plain value"),
        ("a: !!int x", lambda field: field.scalar(), (1, 4), "cannot be read"),
        ("a: !python/name:os.system x", lambda field: field.scalar(), (1, 4), "cannot be read"),
        ("a: fast", lambda field: field.choice(("faster", "slow")), (1, 4), "Did you mean 'faster'"),
        ("a: {b: 1, b: 2}", lambda field: field.fields(), (1, 11), "a second time"),
        ("a: {b: 1}", lambda field: field.fields(("c",)), (1, 5), "unknown key"),
        ("a: {bean: 1}", lambda field: field.fields(("beam",)), (1, 5), "Did you mean 'beam'"),
        ("a: {b: 1}", lambda field: field.fields(required=("c",)), (1, 4), "lacks the key 'c'"),
        ("a: {[b]: 1}", lambda field: field.fields(), (1, 5), "no plain text"),
    ],
)
def test_mistakes_name_their_place(text: str, read: object, place: tuple[int, int], part: str) -> None:
    field = root(text).fields()["a"]
    with pytest.raises(ConfigError) as caught:
        read(field)  # type: ignore[operator]
    error = caught.value
    assert (error.file, error.line, error.column) == ("f.yaml", *place)
    assert error.message.startswith(f"f.yaml:{place[0]}:{place[1]}: a")
    assert part in error.message


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a: 1\nb: [1\n", 3),
        (b"a: 1\n\tb: 2", 2),
        (b"a: 1\n b: c: d", 2),
        (b"a: 1\nb: \xff", 2),
        (b"a: 1\nb: \x00", 2),
        (b"--- a\n--- b\n", 2),
        (b"a: *nothing", 1),
        (b"[" * 400, 1),
    ],
)
def test_what_is_no_yaml_names_the_line(data: bytes, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        document.parse(data, "f.yaml")
    assert caught.value.line == line
    assert caught.value.message.startswith(f"f.yaml:{line}:")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        document.load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a directory"):
        document.load(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (document.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        document.load(large)


def test_empty_and_bom(tmp_path: Path) -> None:
    assert document.parse(b"# nothing\n", "f") is None
    assert root("\ufeffa: 1").fields()["a"].integer(0, 1) == 1
