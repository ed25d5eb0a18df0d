from pathlib import Path

import pytest

from hotmic.worker import exit as worker_exit
from hotmic.worker.exit import KernelKills, count_kernel_kills, describe_exit, explain

QUIET = KernelKills(own=2, machine=7)


def kind(status: int, words: str = "", after: KernelKills = QUIET) -> str:
    return explain(status, last_words=words, before=QUIET, after=after, at=1.0).kind


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (0, "The worker ended with exit code 0."),
        (-9, "The worker was ended by SIGKILL."),
        (-99, "The worker was ended by signal 99."),
    ],
)
def test_exits_are_described(status: int, sentence: str) -> None:
    assert describe_exit(status) == sentence


def test_statuses_have_kinds() -> None:
    assert [kind(status) for status in (-9, -11, 0, 1, 4, 77)] == [
        "signal",
        "signal",
        "exit",
        "exception",
        "out_of_memory",
        "exit",
    ]


def test_last_words_about_memory_count_unless_the_end_was_a_good_one() -> None:
    words = "what(): std::bad_alloc"
    assert (kind(-6, words), kind(1, "MemoryError"), kind(0, words)) == ("out_of_memory", "out_of_memory", "exit")
    assert kind(1, "RuntimeError: CUDA failed with error out of memory") == "out_of_memory"


def test_the_kernels_kill_is_certain_in_the_own_group_and_probable_on_the_machine() -> None:
    own = explain(-9, last_words="", before=QUIET, after=KernelKills(own=3, machine=8), at=1.0)
    elsewhere = explain(-9, last_words="", before=QUIET, after=KernelKills(own=None, machine=8), at=1.0)
    assert own.kind == elsewhere.kind == "out_of_memory"
    assert "probably" not in own.message
    assert "probably" in elsewhere.message


def test_a_kill_of_another_process_does_not_explain_another_signal() -> None:
    assert kind(-11, after=KernelKills(own=3, machine=8)) == "signal"
    assert kind(-9, after=KernelKills(own=None, machine=None)) == "signal"


@pytest.mark.parametrize(
    ("groups", "file", "text"),
    [
        ("0::/system.slice/hotmic.service", "system.slice/hotmic.service/memory.events", "oom 4\noom_kill 3\n"),
        ("9:cpu:/x\n4:memory:/a/b\n0::/", "memory/a/b/memory.oom_control", "under_oom 0\noom_kill 3\n"),
    ],
)
def test_the_counter_of_the_own_group_is_found(
    groups: str, file: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "groups").write_text(groups)
    (tmp_path / "vmstat").write_text("nr_free 1\noom_kill 12\n")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    for name, path in (("_OWN_CGROUPS", "groups"), ("_VMSTAT", "vmstat"), ("_CGROUPS", "")):
        monkeypatch.setattr(worker_exit, name, tmp_path / path)
    assert count_kernel_kills() == KernelKills(own=3, machine=12)


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_OWN_CGROUPS", "_VMSTAT", "_CGROUPS"):
        monkeypatch.setattr(worker_exit, name, tmp_path / "nothing")
    assert count_kernel_kills() == KernelKills(None, None)
