"""The systemd unit fits the daemon."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hotmic.config.settings import Settings

UNIT = Path(__file__).parents[1] / "deploy" / "hotmic.service"


def test_the_unit_fits_the_daemon() -> None:
    lines = UNIT.read_text("utf-8").splitlines()
    options = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert (options["Type"], options["NotifyAccess"], options["Restart"]) == ("notify", "main", "on-failure")
    assert options["RestartPreventExitStatus"] == "2"
    assert int(options["TimeoutStopSec"]) >= Settings().drain_s + 10
    assert int(options["WatchdogSec"]) > 10
    assert "AF_UNIX" in options["RestrictAddressFamilies"].split()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd")
def test_systemd_understands_it(tmp_path: Path) -> None:
    unit = tmp_path / "hotmic.service"
    program = "/bin/true"
    unit.write_text(UNIT.read_text("utf-8").replace("/usr/local/lib/hotmic/bin/hotmic", program), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert "hotmic.service" not in done.stderr, done.stderr
