"""Presets: what they set, what wins over them, and what they never do."""

import os
from pathlib import Path

import pytest

from hotmic.config.compat import PRESETS, arguments_of, check_model, model_of, preset_of
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings, load_settings
from hotmic.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]
NO_ARGUMENTS = {"port": None, "dtype": None, "model_id": None}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HOTMIC_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(CHECKOUT / "models.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_made_of_settings_and_relaxes_nothing(name: str) -> None:
    found = load_settings(preset=preset_of(name, {}))
    plain = load_settings()
    assert set(PRESETS[name]) <= set(Settings.model_fields)
    for key in ("host", "auth", "tokens", "allow_null_origin", "allowed_hosts", "allowed_origins", "model", "record"):
        assert getattr(found, key) == getattr(plain, key)


def test_where_each_server_was() -> None:
    found = {name: load_settings(preset=preset_of(name, {})) for name in PRESETS}
    assert (found["thai_dual_socket"].control_port, found["thai_dual_socket"].audio_port) == (8765, 8766)
    assert found["live_caption"].control_port == 8765
    assert (found["hindi2hinglish"].http_port, found["rnnt"].http_port) == (8000, 8000)
    assert found["simul"].listeners == ("9000/ws/transcription=simul",)
    vads = {name: settings.vad for name, settings in found.items()}
    assert vads == {
        "thai_dual_socket": "seed",
        "live_caption": "default",
        "hindi2hinglish": "webrtc",
        "rnnt": "energy",
        "simul": "silero",
    }


def test_everything_else_wins_over_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "hotmic.yaml"
    config.write_text("vad: silero\nlog_level: error\n")
    environment = {"RNNT_SERVER_PORT": "8100", "LOG_LEVEL": "debug", "RNNT_SERVER_HOST": "127.0.0.2"}
    preset = preset_of("rnnt", environment)
    assert load_settings(preset=preset).log_level == "debug"
    found = load_settings(config, preset=preset)
    assert (found.http_port, found.host, found.vad, found.log_level) == (8100, "127.0.0.2", "silero", "error")
    monkeypatch.setenv("HOTMIC_HTTP_PORT", "8200")
    assert load_settings(config, preset=preset).http_port == 8200
    assert load_settings(config, preset=preset, http_port=8300).http_port == 8300
    assert load_settings(preset=preset_of("simul", {}), listeners=("9100=simul",)).listeners == ("9100=simul",)


@pytest.mark.parametrize(
    ("name", "variable", "text", "key", "value"),
    [
        ("rnnt", "RNNT_SERVER_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("rnnt", "RNNT_SERVER_PORT", "8001", "http_port", 8001),
        ("rnnt", "DEV_MODE", "true", "log_level", "debug"),
        ("rnnt", "DEV_MODE", "False", "log_level", None),
        ("rnnt", "LOG_LEVEL", "INFO", "log_level", "info"),
        ("rnnt", "LOG_LEVEL", "CRITICAL", "log_level", "error"),
        ("rnnt", "LOG_LEVEL", "", "log_level", None),
        ("simul", "WHISPER_MODEL_PATH", "turbo.pt", "model", "turbo.pt"),
        ("simul", "WHISPER_MODEL_PATH", "models/large-v3.pt", "model", "large-v3.pt"),
        ("simul", "WHISPER_LAN", "de", "language", "de"),
        ("simul", "WHISPER_LAN", "auto", "language", None),
        ("simul", "WHISPER_LOG_LEVEL", "warn", "log_level", "warning"),
    ],
)
def test_variables_count_for_their_own_server_alone(
    name: str, variable: str, text: str, key: str, value: object
) -> None:
    for server in PRESETS:
        found = preset_of(server, {variable: text}).get(key, PRESETS[server].get(key))
        assert found == (value if server == name and value is not None else PRESETS[server].get(key))


def test_a_log_level_wins_over_the_developer_s_mode() -> None:
    for environment in ({"DEV_MODE": "1", "LOG_LEVEL": "INFO"}, {"LOG_LEVEL": "INFO", "DEV_MODE": "1"}):
        assert preset_of("rnnt", environment)["log_level"] == "info"


@pytest.mark.parametrize(
    ("name", "variable", "text"),
    [
        ("rnnt", "RNNT_SERVER_PORT", "70000"),
        ("rnnt", "RNNT_SERVER_PORT", "８０００"),
        ("rnnt", "DEV_MODE", "perhaps"),
        ("rnnt", "LOG_LEVEL", "loud"),
        ("simul", "WHISPER_LAN", "German"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(name: str, variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: .* Allowed: ") as caught:
        preset_of(name, {variable: text})
    assert (caught.value.file, caught.value.value) == (variable, text)


@pytest.mark.parametrize("text", ["/models/none.pt", "../../etc/passwd", "a" * 300, "ไทย.pt"])
def test_a_model_file_that_no_model_is_known_by_is_told_with_its_variable(registry: Registry, text: str) -> None:
    environment = {"WHISPER_MODEL_PATH": text}
    model = preset_of("simul", environment)["model"]
    with pytest.raises(ConfigError, match=r"^WHISPER_MODEL_PATH: .* Allowed: .*turbo\.pt") as caught:
        check_model("simul", environment, registry, model=model)
    assert (caught.value.file, caught.value.value) == ("WHISPER_MODEL_PATH", text)
    check_model("simul", environment, registry, model="another")  # a flag won
    check_model("rnnt", environment, registry, model=model)
    check_model("simul", {"WHISPER_MODEL_PATH": "models/turbo.pt"}, registry, model="turbo.pt")


def test_an_unknown_server_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'hindi2hinglish'"):
        preset_of("hindi2english", {})


def test_the_arguments_of_the_original() -> None:
    found = arguments_of("hindi2hinglish", port=8001, dtype="float16", model_id="tiny", flags={"http_port": None})
    assert found == {"http_port": 8001, "compute_type": "float16"}
    assert arguments_of(None, **NO_ARGUMENTS, flags={"http_port": 8000}) == {}


@pytest.mark.parametrize(
    ("name", "given", "flags", "why"),
    [
        ("rnnt", {"port": 8001}, {}, "--port: belongs to --compat hindi2hinglish; here it is --http-port"),
        (None, {"model_id": "tiny"}, {}, "--model-id: belongs to .* --model"),
        ("hindi2hinglish", {"port": 8001}, {"http_port": "8000"}, "--port: --http-port says the same"),
        ("hindi2hinglish", {"model_id": "tiny"}, {"model": "base"}, "--model-id: --model says the same"),
        ("hindi2hinglish", {"dtype": "int4"}, {}, "--dtype: 'int4' does not fit. Allowed: float16 or float32"),
    ],
)
def test_arguments_that_do_not_fit(
    name: str | None, given: dict[str, object], flags: dict[str, object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        arguments_of(name, **(NO_ARGUMENTS | given), flags=flags)  # type: ignore[arg-type]


def test_models_by_key_alias_and_repository(registry: Registry) -> None:
    assert model_of(registry, "tiny") == "tiny"
    assert model_of(registry, "turbo.pt") == "turbo"
    assert model_of(registry, "Oriserve/Whisper-Hindi2Hinglish-Swift") == "hindi2hinglish-swift"
    assert model_of(registry, "oriserve/whisper-hindi2hinglish-prime") == "hindi2hinglish-prime"


@pytest.mark.parametrize("wish", ["someone/their-model", "../../etc/passwd", "https://example.org/model"])
def test_a_model_that_is_not_in_the_registry_is_told_how_to_get_there(registry: Registry, wish: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_of(registry, wish)
    assert f"source: {{hub: {wish}" in caught.value.message
    assert "models.yaml" in caught.value.message
