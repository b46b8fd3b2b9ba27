"""The seam between a compiled command line and the program behind it, for every component folder there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))


def flags_in_spec(component: str) -> set[str]:
    """Options in the command that the committed pipelines run."""
    found: set[str] = set()
    for path in (ROOT / "pipelines").glob("*/pipeline.yaml"):
        spec, *_ = yaml.safe_load_all(path.read_text(encoding="utf-8"))
        for executor in spec["deploymentSpec"]["executors"].values():
            container = executor["container"]
            if container["command"][-1] == f"components.{component}":
                found |= {word for word in container["args"] if str(word).startswith("--")}
    return found


def flags_in_program(component: str) -> set[str]:
    """Options that the program's parser names."""
    done = subprocess.run(
        [sys.executable, "-m", f"components.{component}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(re.findall(r"^  (?:-\w, )?(--[a-z][a-z-]*)", done.stdout, flags=re.MULTILINE)) - {"--help"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_flags_of_the_spec_are_the_flags_of_the_program(component: str) -> None:
    assert flags_in_spec(component) == flags_in_program(component)
