"""requirements_realtime.txt is the base dependencies and all extras."""

import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def test_requirements_are_the_base_and_all_extras() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = set(project["dependencies"]).union(*project["optional-dependencies"].values())
    lines = (CHECKOUT / "requirements_realtime.txt").read_text().splitlines()
    written = [line for line in lines if line and not line.startswith("#")]
    assert written == sorted(wanted, key=str.lower)
