"""models.yaml: what it yields and how it complains."""

import os
from pathlib import Path

import pytest

from hotmic.config.model import Bundled, Guards, HubRepository, LocalDirectory
from hotmic.config.registry import Registry, RegistryFile
from hotmic.errors import ConfigError, UnknownModel

CHECKOUT = Path(__file__).parents[2]

GOOD = """\
default: one
aliases: {one.pt: one}
models:
  - id: one
    name: One
    type: faster_whisper
    source: {hub: owner/name, revision: v1}
    languages: [en]
  - id: two
    name: Two
    type: faster_whisper
    source: {local: weights/two}
    languages: [th, en]
    beam: 3
    sha256: "AB00000000000000000000000000000000000000000000000000000000000000"
  - id: echo
    name: Echo
    type: echo
    languages: [multilingual]
    options: {speed: 2.5, crash_after: 3}
"""


def load(folder: Path, text: str) -> Registry:
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return Registry.load(path)


def test_good_file(tmp_path: Path) -> None:
    registry = load(tmp_path, GOOD)
    one, two, echo = registry.specs
    assert registry.default == "one"
    assert one.source == HubRepository(repository="owner/name", revision="v1")
    assert two.source == LocalDirectory(path=tmp_path / "weights/two")
    assert two.sha256.startswith("ab")
    assert (two.beam, two.languages) == (3, ("th", "en"))
    assert echo.options == {"speed": 2.5, "crash_after": 3}
    assert registry.get("one.pt") is one
    assert registry.get("two") is two


def test_keys_of_decoding(tmp_path: Path) -> None:
    keys = "guards: {loop: false}\n    policy: align_att\n    agreement_n: 3\n    attention_margin_s: 1"
    one, two, _ = load(tmp_path, GOOD.replace("beam: 3", keys)).specs
    assert (two.policy, two.agreement_n, two.attention_margin_s) == ("align_att", 3, 1.0)
    assert two.guards == Guards(no_speech=True, loop=False, token_rate=True, known_phrase=True)
    assert (one.policy, one.agreement_n, one.guards) == ("local_agreement", 2, Guards())


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "part"),
    [
        ("default: one", "default: oen", 1, "default", "Did you mean 'one'"),
        ("default: one\n", "", 1, "", "lacks the key 'default'"),
        ("default: one", "defualt: one", 1, "defualt", "Did you mean 'default'"),
        ("default: one", "default: one\ndefault: two", 2, "default", "first in line 1"),
        ("{one.pt: one}", "{one.pt: tow}", 2, "aliases.one.pt", "Did you mean 'two'"),
        ("{one.pt: one}", "{two: one}", 2, "aliases.two", "is the id of a model"),
        ("{one.pt: one}", "{One: one}", 2, "aliases.One", "is no alias"),
        ("{one.pt: one}", "[one]", 2, "aliases", "is not a mapping"),
        ("id: two", "id: one", 9, "models[1].id", "first in line 4"),
        ("id: two", "id: ../two", 9, "models[1].id", "does not fit"),
        ("id: two", "id: 2", 9, "models[1].id", "not a text"),
        ("id: two", f"id: {'t' * 65}", 9, "models[1].id", "1 to 64"),
        ("    name: Two\n", "", 9, "models[1]", "lacks the key 'name'"),
        ("    source: {local: weights/two}\n", "", 9, "models[1]", "lacks the key 'source'"),
        ("beam: 3", "bean: 3", 14, "models[1].bean", "Did you mean 'beam'"),
        ("beam: 3", "beam: three", 14, "models[1].beam", "a number from 1 to 20"),
        ("beam: 3", "beam: 0", 14, "models[1].beam", "out of range"),
        ("beam: 3", "policy: local_agrement", 14, "models[1].policy", "Did you mean 'local_agreement'"),
        ("beam: 3", "agreement_n: 0", 14, "models[1].agreement_n", "a number from 1 to 5"),
        ("beam: 3", "agreement_n: 6", 14, "models[1].agreement_n", "out of range"),
        ("beam: 3", "agreement_n: 2.5", 14, "models[1].agreement_n", "not a whole number"),
        ("beam: 3", "attention_margin_s: 0.05", 14, "models[1].attention_margin_s", "a number from 0.1 to 2"),
        ("beam: 3", "attention_margin_s: 2.5", 14, "models[1].attention_margin_s", "out of range"),
        ("beam: 3", "guards: {no_speach: true}", 14, "models[1].guards.no_speach", "Did you mean 'no_speech'"),
        ("beam: 3", "guards: {loop: sometimes}", 14, "models[1].guards.loop", "true or false"),
        ("beam: 3", "guards: off", 14, "models[1].guards", "not a mapping"),
        ("beam: 3", "beam: 3\n    beam: 4", 15, "models[1].beam", "a second time"),
        ("beam: 3", "recommended: sure", 14, "models[1].recommended", "true or false"),
        ("beam: 3", "compute_type: int9", 14, "models[1].compute_type", "Did you mean 'int8'"),
        ("beam: 3", "min_window_s: 29\n    max_window_s: 10", 14, "models[1].min_window_s", "longer than"),
        ("type: echo", "type: ehco", 18, "models[2].type", "Did you mean 'echo'"),
        ("type: faster_whisper", "type: faster-whisper", 6, "models[0].type", "Did you mean 'faster_whisper'"),
        ("{local: weights/two}", "bundled", 12, "models[1].source", "not a mapping"),
        ("{local: weights/two}", "{local: a, hub: b/c}", 12, "models[1].source", "where the weights are"),
        ("{local: weights/two}", "{local: a, revision: b}", 12, "models[1].source", "where the weights are"),
        ("{local: weights/two}", "{url: a}", 12, "models[1].source.url", "unknown key"),
        ("hub: owner/name", "hub: ../name", 7, "models[0].source.hub", "OWNER/NAME"),
        ("hub: owner/name", "hub: owner/na--me", 7, "models[0].source.hub", "OWNER/NAME"),
        ("revision: v1", "revision: ../../x", 7, "models[0].source.revision", "a branch"),
        ("languages: [th, en]", "languages: [th, no]", 13, "models[1].languages[1]", "in quotes"),
        ("languages: [th, en]", "languages: []", 13, "models[1].languages", "empty list"),
        ("languages: [th, en]", "languages: th", 13, "models[1].languages", "not a list"),
        ('"AB0', '"XY0', 15, "models[1].sha256", "64 hexadecimal digits"),
        ("speed: 2.5", "speed: ", 20, "models[2].options.speed", "is empty"),
        (GOOD[GOOD.index("models:") :], "models: []", 3, "models", "empty list"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, line: int, key: str, part: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    error = caught.value
    assert part in error.message
    assert (error.key, error.line) == (key, line)
    assert error.file == str(tmp_path / "models.yaml")
    assert error.column > 0
    assert error.allowed or error.nearest


def test_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file is empty"):
        load(tmp_path, "# nothing\n")
    with pytest.raises(ConfigError, match=r"models\.yaml:3:3: not YAML"):
        load(tmp_path, "default: one\nmodels: [\n  }")


def test_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    registry = load(tmp_path, GOOD)
    with pytest.raises(UnknownModel, match="Did you mean 'echo'"):
        registry.get("ecko")
    with pytest.raises(UnknownModel, match="Ask for the list"):
        registry.get("zzz")
    for hostile in ("../../etc/passwd", "owner/name", "", "ONE", "x" * 10_000, "one\n"):
        with pytest.raises(UnknownModel, match="not a model id") as caught:
            registry.get(hostile)
        assert len(caught.value.message) < 100


def test_shipped_registry() -> None:
    registry = Registry.load(CHECKOUT / "models.yaml")
    ids = {spec.id for spec in registry.specs}
    assert registry.default == "demo-en"
    thai = {"biodatlab-faster", "biodatlab-medium-faster", "pathumma-large"}
    assert ids >= thai | {"tiny", "base", "small", "medium", "large-v3", "turbo", "hypaai"}
    assert ids >= {"hindi2hinglish-swift", "hindi2hinglish-prime"}
    for alias in ("tiny.pt", "base.pt", "small.pt", "medium.pt", "turbo.pt"):
        assert registry.get(alias).id == alias.removesuffix(".pt")
    demo = registry.get("demo-en")
    assert demo.source == Bundled(name="demo-en")
    assert (demo.min_window_s, demo.max_window_s) == (1, 7)
    assert all(spec.vram_gb > 0 and spec.description for spec in registry.specs)


class TestRegistryFile:
    def edit(self, path: Path, text: str, tick: list[int] = [0]) -> None:  # noqa: B006
        path.write_text(text)
        tick[0] += 1
        # Two edits within the clock's resolution would look the same.
        os.utime(path, ns=(tick[0], tick[0]))

    def look(self, file: RegistryFile) -> Registry | ConfigError | None:
        """Look twice: an edit is read once it is over."""
        assert file.changed() is None
        return file.changed()

    def test_edits_are_picked_up_once(self, tmp_path: Path) -> None:
        file = RegistryFile(tmp_path / "models.yaml", load(tmp_path, GOOD))
        assert self.look(file) is None
        self.edit(file.path, GOOD.replace("default: one", "default: two"))
        changed = self.look(file)
        assert isinstance(changed, Registry)
        assert changed.default == "two"
        assert file.value is changed
        assert self.look(file) is None

    def test_broken_edit_keeps_the_old_registry_and_says_why_once(self, tmp_path: Path) -> None:
        before = load(tmp_path, GOOD)
        file = RegistryFile(tmp_path / "models.yaml", before)
        self.edit(file.path, "default: [")
        assert isinstance(error := self.look(file), ConfigError)
        assert "not YAML" in error.message
        assert file.value is before
        assert self.look(file) is None
        self.edit(file.path, GOOD)
        assert self.look(file) == before

    def test_saving_without_a_difference_is_no_change(self, tmp_path: Path) -> None:
        file = RegistryFile(tmp_path / "models.yaml", load(tmp_path, GOOD))
        self.edit(file.path, GOOD)
        assert self.look(file) is None

    def test_deleted_and_restored(self, tmp_path: Path) -> None:
        file = RegistryFile(tmp_path / "models.yaml", load(tmp_path, GOOD))
        file.path.unlink()
        assert isinstance(self.look(file), ConfigError)
        assert self.look(file) is None
        self.edit(file.path, GOOD)
        assert isinstance(self.look(file), Registry)

    def test_an_edit_that_is_being_written_is_not_read(self, tmp_path: Path) -> None:
        file = RegistryFile(tmp_path / "models.yaml", load(tmp_path, GOOD))
        whole = GOOD.replace("default: one", "default: two")
        for half in (whole[: len(whole) // 2], whole[: len(whole) * 3 // 4], whole):
            self.edit(file.path, half)
            assert file.changed() is None
        changed = file.changed()
        assert isinstance(changed, Registry)
        assert changed.default == "two"
