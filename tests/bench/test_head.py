"""How a result says what it is of."""

import ast
import subprocess
from pathlib import Path

import pytest

import hotmic
from hotmic.bench.head import ROOT, command_of, find_version, head

SCRIPTS = sorted(
    path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_") and path.stem != "page"
)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/usr/local/bin/hotmic", "bench", "live", "--streams", "1,16"], "hotmic bench live --streams 1,16"),
        (["/a/server/hotmic/__main__.py", "bench", "frontend"], "hotmic bench frontend"),
        ([str(ROOT / "tests/bench/talk.py"), "--json", "/tmp/r.json"], "python tests/bench/talk.py --json r.json"),
        (["tests/bench/talk.py", "--json", "results/r.json"], "python tests/bench/talk.py --json results/r.json"),
        (["/elsewhere/mine.py", "--json=/tmp/a=b.json", "/tmp/c=d"], "python mine.py --json=a=b.json c=d"),
        (["hotmic", "bench", "live", "--models", r"C:\\me\\models.yaml"], "hotmic bench live --models models.yaml"),
        (["channel.py", "--tree", "before=/old/server"], "python channel.py --tree before=server"),
        (["hotmic", "bench", "live", "--token", "canary"], "hotmic bench live --token TOKEN"),
        (["hotmic", "bench", "live", "--token=canary"], "hotmic bench live --token=TOKEN"),
        (
            ["hotmic", "bench", "live", "--uri-audio", "ws://a:1/?token=canary&channel=b"],
            "hotmic bench live --uri-audio 'ws://a:1/?token=TOKEN&channel=b'",
        ),
    ],
)
def test_a_command_can_be_repeated_and_tells_nothing_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: str
) -> None:
    monkeypatch.chdir(ROOT)
    assert command_of(arguments) == command


def test_the_version_is_the_checkouts_else_the_packages(tmp_path: Path) -> None:
    assert find_version(tmp_path) == hotmic.__version__
    (tmp_path / ".git").touch()
    assert find_version(tmp_path) == hotmic.__version__, "git cannot read it"
    (tmp_path / ".git").unlink()
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    (tmp_path / "file").touch()
    for command in (("init", "-q"), ("add", "file"), (*who, "commit", "-qm", "One"), (*who, "tag", "-am", "x", "v9")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert find_version(tmp_path) == "v9"
    (tmp_path / "file").write_text("changed")
    assert find_version(tmp_path) == "v9-dirty"


def test_the_head_says_how_of_what_and_on_what() -> None:
    found = head()
    assert list(found) == ["command", "version", "environment"]
    assert found["environment"]["cores"] >= 1
    assert found["environment"]["cpu"]
    assert found["environment"]["python"]
    assert len(found["environment"]["load_average"]) == 3
    assert {"numpy", "ctranslate2", "torch"} <= found["environment"]["versions"].keys()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_takes_the_head_before_it_measures_and_writes_it(path: Path) -> None:
    """What a script writes to a file holds what ``head`` returned at the beginning."""
    (main,) = (
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    taken = [n.lineno for n in ast.walk(main) if isinstance(n, ast.Assign) and ast.unparse(n) == "above = head()"]
    used = [
        n.lineno for n in ast.walk(main) if isinstance(n, ast.Name) and n.id == "above" and isinstance(n.ctx, ast.Load)
    ]
    assert len(taken) == len(used) == 1
    timed = [n.lineno for n in ast.walk(main) if isinstance(n, ast.Call) and "perf_counter" in ast.unparse(n.func)]
    assert taken[0] < min([*used, *timed])
