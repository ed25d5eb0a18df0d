"""Downloads against a hub on loopback."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from config.fake_hub import FakeHub, whisper_files
from hotmic.config import hub, weight
from hotmic.config.model import Bundled, HubRepository, ModelSpec
from hotmic.errors import DownloadFailed

pytestmark = pytest.mark.integration

QUICK = hub.Patience(answer=2.0, quiet=0.5, pause=0.01)
NAME = "owner/name"


def spec(**changes: object) -> ModelSpec:
    base = ModelSpec(id="m", name="M", type="faster_whisper", source=HubRepository(repository=NAME), languages=("en",))
    return msgspec.structs.replace(base, **changes)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOTMIC_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub({NAME: whisper_files()}).running() as running:
        yield running


def fetch(fake: FakeHub, models_dir: Path, model: ModelSpec | None = None, **options: object) -> Path:
    return hub.fetch(model or spec(), models_dir, **({"endpoint": fake.endpoint, "patience": QUICK} | options))


def test_download_brings_the_wanted_files_and_nothing_else(fake: FakeHub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    directory = fetch(fake, tmp_path, report=lambda done, total: seen.append((done, total)))
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.bin",
        "tokenizer.json",
        "vocabulary.json",
    ]
    assert (directory / "model.bin").read_bytes() == whisper_files()["model.bin"]
    total = sum(
        len(whisper_files()[name]) for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json")
    )
    assert seen[-1] == (total, total)
    assert weight.locate(spec(), tmp_path) == directory
    assert weight.disk_state(spec(), tmp_path).kind == "on disk"


def test_what_is_on_disk_needs_no_hub(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = fetch(fake, tmp_path)
    count = len(fake.requests)
    monkeypatch.setenv("HOTMIC_OFFLINE", "1")
    assert fetch(fake, tmp_path) == directory
    assert len(fake.requests) == count


def test_broken_connection_continues_where_it_broke(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks = 100_000, 2
    directory = fetch(fake, tmp_path)
    assert (directory / "model.bin").read_bytes() == whisper_files()["model.bin"]
    ranges = [wanted for _, path, wanted in fake.requests if path.endswith("model.bin")]
    assert ranges == ["", "bytes=100000-", "bytes=200000-"]


def test_server_without_ranges_starts_anew(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks, fake.ignores_range = 100_000, 1, True
    directory = fetch(fake, tmp_path)
    assert (directory / "model.bin").read_bytes() == whisper_files()["model.bin"]


def test_connection_that_always_breaks_at_the_same_byte_ends(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks, fake.ignores_range = 100_000, 10_000, True
    with pytest.raises(DownloadFailed, match="stalled"):
        fetch(fake, tmp_path)


def test_stopped_download_continues_later(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks, fake.stall = 100_000, 1, threading.Event()
    heard = threading.Event()
    with pytest.raises(DownloadFailed, match="stopped"):
        fetch(
            fake,
            tmp_path,
            report=lambda done, total: heard.set() if done >= 100_000 else None,
            should_stop=heard.is_set,
            patience=replace(QUICK, quiet=30),
        )
    assert weight.locate(spec(), tmp_path) is None
    state = weight.disk_state(spec(), tmp_path)
    assert state.kind == "partly"
    assert 0 < state.size_bytes < state.total_bytes
    fake.stall.set()
    for thread in threading.enumerate():
        if thread.name == "download-m":
            thread.join()
    directory = fetch(fake, tmp_path)
    asked = [int(wanted[len("bytes=") : -1]) for *_, wanted in fake.requests if wanted]
    assert asked, "it continued"
    assert max(asked) > 0
    assert (directory / "model.bin").read_bytes() == whisper_files()["model.bin"]


def test_stalled_transfer_ends(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks, fake.stall = 100_000, 10_000, threading.Event()
    fake.ignores_range = True
    with pytest.raises(DownloadFailed, match="stalled"):
        fetch(fake, tmp_path)


def test_silent_hub_ends(fake: FakeHub, tmp_path: Path) -> None:
    fake.stall = threading.Event()
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        fetch(fake, tmp_path, patience=replace(QUICK, answer=0.3))


def test_unreachable_hub_is_said_in_words(tmp_path: Path) -> None:
    with FakeHub({}).running() as gone:
        endpoint = gone.endpoint
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        hub.fetch(spec(), tmp_path, endpoint=endpoint, patience=QUICK)


@pytest.mark.parametrize("name", ["HOTMIC_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadFailed, match="downloads are off"):
        fetch(fake, tmp_path)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("change", "source", "sentence"),
    [
        ({}, HubRepository(repository="owner/other"), "no repository owner/other"),
        ({}, HubRepository(repository=NAME, revision="v9"), "no revision 'v9'"),
        ({"gated": True}, HubRepository(repository=NAME), "gated"),
        ({"page": True}, HubRepository(repository=NAME), "not a model hub"),
        ({"corrupt": True}, HubRepository(repository=NAME), "checksum"),
        ({"short_by": 2}, HubRepository(repository=NAME), "shorter"),
        ({"status": 403}, HubRepository(repository=NAME), "HF_TOKEN"),
        ({"status": 404}, HubRepository(repository=NAME), "no longer has"),
        ({"status": 503}, HubRepository(repository=NAME), "status 503"),
        ({"commit": "../../x"}, HubRepository(repository=NAME), "which commit"),
    ],
)
def test_faults_of_the_hub(
    fake: FakeHub, tmp_path: Path, change: dict[str, object], source: HubRepository, sentence: str
) -> None:
    for key, value in change.items():
        setattr(fake, key, value)
    patience = replace(QUICK, answer=0.5) if "status" in change else QUICK
    with pytest.raises(DownloadFailed, match=sentence):
        fetch(fake, tmp_path, spec(source=source), patience=patience)
    assert weight.locate(spec(source=source), tmp_path) is None


def test_wrong_checksum_is_not_kept(fake: FakeHub, tmp_path: Path) -> None:
    fake.corrupt = True
    with pytest.raises(DownloadFailed, match="checksum"):
        fetch(fake, tmp_path)
    fake.corrupt = False
    assert weight.missing_files(fetch(fake, tmp_path), "faster_whisper") == ()


def test_checksum_of_the_registry_counts(fake: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"models.yaml says 00"):
        fetch(fake, tmp_path, spec(sha256="0" * 64))
    assert weight.locate(spec(), tmp_path) is None


def test_repository_of_pickles_is_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.repositories[NAME] = {"pytorch_model.bin": b"a pickle", "config.json": b"{}"}
    with pytest.raises(DownloadFailed, match=r"no complete safetensors model, it lacks .*model.safetensors"):
        fetch(fake, tmp_path, spec(type="transformers"))
    with pytest.raises(DownloadFailed, match=r"no complete CTranslate2 model, it lacks model.bin"):
        fetch(fake, tmp_path)


def test_tokenizer_is_lent(fake: FakeHub, tmp_path: Path) -> None:
    del fake.repositories[NAME]["tokenizer.json"]
    lent = {"tokenizer.json": b"lent", "preprocessor_config.json": b"{}", "model.safetensors": b"large"}
    fake.repositories["lender/name"] = lent
    directory = fetch(fake, tmp_path, spec(tokenizer=HubRepository(repository="lender/name")))
    assert (directory / "tokenizer.json").read_bytes() == b"lent"
    assert (directory / "preprocessor_config.json").exists()
    assert not (directory / "model.safetensors").exists()


def test_full_disk_is_said_before_the_download(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_SPARE_BYTES", 1 << 62)
    with pytest.raises(DownloadFailed, match="make room"):
        fetch(fake, tmp_path)
    assert not any(path.endswith("model.bin") for _, path, _ in fake.requests)


def test_directory_that_cannot_be_made(fake: FakeHub, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DownloadFailed, match="cannot be written"):
        fetch(fake, blocked / "models")


def test_second_download_of_the_same_model_is_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.break_after, fake.breaks, fake.stall = 100_000, 1, threading.Event()
    first = threading.Thread(target=fetch, args=(fake, tmp_path), kwargs={"patience": replace(QUICK, quiet=30)})
    first.start()
    while not any(path.endswith("model.bin") for _, path, _ in fake.requests):
        first.join(0.01)
    with pytest.raises(DownloadFailed, match="under way"):
        fetch(fake, tmp_path)
    fake.stall.set()
    first.join()
    assert weight.locate(spec(), tmp_path)


def test_token_and_endpoint_come_from_the_environment(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
    hub.fetch(spec(), tmp_path, patience=QUICK)
    assert set(fake.tokens) == {"Bearer hf_secret"}


def test_model_without_a_hub_says_so(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="does not come from a hub"):
        hub.fetch(spec(source=Bundled(name="gone")), tmp_path)
