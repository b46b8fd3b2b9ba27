"""The committed YAML is what KFP compiles from the pipelines beside it, and the runner needs no KFP."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.golden.runner_pipelines.pipelines import PIPELINES, compile_into
from tests.unit.runners.conftest import GOLDEN


def test_committed_pipelines_are_up_to_date(tmp_path: Path) -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == PIPELINES.keys()
    for name in PIPELINES:
        compiled = list(yaml.safe_load_all(compile_into(tmp_path, name).read_text()))
        assert compiled == list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text())), name


def test_the_runner_imports_no_kfp() -> None:
    heavy = "[m for m in sys.modules if m.split('.')[0] in ('kfp', 'rich')]"
    code = f"import sys, lakeloop.runners.process; print({heavy})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
