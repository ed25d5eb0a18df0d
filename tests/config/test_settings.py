"""Settings: order of the sources, and mistakes that say where they are."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from hotmic.config import settings as module
from hotmic.config.settings import Settings, default_models_dir, load_settings, table, unknown_variables
from hotmic.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HOTMIC_"):
            monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "hotmic.yaml"
    path.write_text(text)
    return path


def test_defaults_are_those_of_the_seed() -> None:
    found = load_settings()
    assert (found.host, found.control_port, found.audio_port, found.http_port) == ("127.0.0.1", 8765, 8766, 8000)
    assert (found.gpu_memory_fraction, found.num_workers, found.batch_size) == (0.8, 4, 8)


def test_later_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "batch_size: 2\nnum_workers: 2\nthreads: 2\n")
    monkeypatch.setenv("HOTMIC_BATCH_SIZE", "3")
    monkeypatch.setenv("HOTMIC_NUM_WORKERS", "3")
    found = load_settings(config, batch_size=5, host=None)
    assert (found.batch_size, found.num_workers, found.threads, found.ring_s) == (5, 3, 2, 60)
    assert load_settings().threads == 0


def test_words_that_yaml_takes_for_truth_values(tmp_path: Path) -> None:
    found = load_settings(write(tmp_path, "denoise: on\nlanguage: no\nauth: none\nallow_null_origin: yes\nmodel:\n"))
    assert (found.denoise, found.language, found.auth, found.allow_null_origin) == ("on", "no", "none", True)
    assert found.model is None


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "allowed_origins: [https://a.example]\nallowed_hosts: a, b\n")
    found = load_settings(config)
    assert found.allowed_origins == ("https://a.example",)
    assert found.allowed_hosts == ("a", "b")
    monkeypatch.setenv("HOTMIC_ALLOWED_ORIGINS", "https://b.example, https://c.example")
    assert load_settings(config).allowed_origins == ("https://b.example", "https://c.example")


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().host = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "key", "part"),
    [
        ("hots: x", 1, "hots", "Did you mean 'host'"),
        ("\ncontrol_port: 99999", 2, "control_port", "from 0 to 65535"),
        ("control_port: many", 1, "control_port", "a whole number"),
        ("vad: silerio", 1, "vad", "Did you mean 'silero'"),
        ("device: [cpu]", 1, "device", "auto, cpu, cuda"),
        ("gpu_memory_fraction: 0", 1, "gpu_memory_fraction", "above 0"),
        ("host: a\nhost: b", 2, "host", "a second time"),
        ("host: {a: b}", 1, "host", "a single value"),
        ("- host", 1, "", "not a mapping"),
        ("ring_s: 20", 1, "ring_s", "at least max_segment_s + 5"),
        ("audio_port: 8765", 1, "audio_port", "a port of its own"),
        ("partial_cadence_max_ms: 100", 1, "partial_cadence_max_ms", "at least partial_cadence_ms"),
        ("hang_over_ms: 900", 1, "hang_over_ms", "at most min_silence_ms"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, line: int, key: str, part: str) -> None:
    config = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    assert part in caught.value.message
    assert (caught.value.line, caught.value.key) == (line, key)
    assert caught.value.message.startswith(f"{config}:{line}:")


def test_mistakes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^--log-level: 'loud' .*Allowed: debug, info, warning, error"):
        load_settings(log_level="loud")
    with pytest.raises(ConfigError, match=r"^hosst: is an unknown setting\. Did you mean 'host'"):
        load_settings(hosst="x")
    monkeypatch.setenv("HOTMIC_HTTP_PORT", "eighty")
    with pytest.raises(ConfigError, match=r"^HOTMIC_HTTP_PORT: 'eighty'"):
        load_settings(write(tmp_path, "http_port: 80"))
    assert load_settings(http_port=80).http_port == 80


def test_ports_of_zero_do_not_collide() -> None:
    assert load_settings(control_port=0, audio_port=0, http_port=0).audio_port == 0


def test_unknown_variables() -> None:
    (error,) = unknown_variables({"HOTMIC_PROT": "1", "HOTMIC_HOST": "x", "HOTMIC_OFFLINE": "1", "PATH": ""})
    assert (error.key, error.value) == ("HOTMIC_PROT", "1")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.9.9.9", True),
        ("0.0.0.0", False),
        ("x.example", False),
    ],
)
def test_loopback(host: str, is_loopback: bool) -> None:
    assert load_settings(host=host).is_loopback is is_loopback


def test_registry_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = load_settings().registry_path()
    assert packaged.is_absolute()
    assert packaged.read_bytes() == (CHECKOUT / "models.yaml").read_bytes()
    (tmp_path / "models.yaml").touch()
    assert load_settings().registry_path().absolute() == tmp_path / "models.yaml"
    assert load_settings(models="~/m.yaml").registry_path() == Path("~/m.yaml").expanduser()


def test_models_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_models_dir() == tmp_path / "hotmic" / "models"
    monkeypatch.setattr(module.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_models_dir() == tmp_path / "local" / "hotmic" / "models"
    monkeypatch.setenv("HOTMIC_MODELS_DIR", str(tmp_path / "mine"))
    assert load_settings().models_dir == tmp_path / "mine"


def test_every_setting_is_described_and_the_page_is_fresh() -> None:
    assert all(info.description for info in Settings.model_fields.values())
    page = CHECKOUT / "docs" / "settings.md"
    assert page.read_text() == table(), "run: python -m hotmic.config.settings > docs/settings.md"
