"""The command line as a script sees it: stdout, stderr, exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = ("init", "validate", "plan", "run", "status", "history", "serve", "stop", "runs", "logs")


def lakeloop(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lakeloop.cli", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "LAKELOOP_HOME": str(home), "HOME": str(home), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    done = lakeloop("--help", home=tmp_path)
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert "4 refused" in done.stdout


def test_help_loads_no_library_but_typer(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom lakeloop.cli.app import app\n"
        "heavy = {'pydantic', 'mlflow', 'pyspark', 'pyiceberg', 'duckdb', 'pyarrow', 'rich', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_shows_an_example(command: str, tmp_path: Path) -> None:
    assert f"  lakeloop {command}" in lakeloop(command, "--help", home=tmp_path).stdout


def test_validate_prints_the_canonical_json_and_nothing_else(tmp_path: Path) -> None:
    done = lakeloop("validate", "card_fraud", "--json", home=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "card_fraud"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("validate", "nowhere"), "no use case 'nowhere'"),
        (("run", "card_fraud", "--plant", "drift:agee=1"), "no column 'agee'"),
        (("run", "card_fraud", "--plant", "hail:age=1"), "is not a plant"),
        (("run", "card_fraud", "--plant", "nulls:age=3"), "not a fraction"),
        (("run", "card_fraud", "--plant", "nulls:age=many"), "not a number"),
        (("run", "card_fraud", "--rows", "0"), "--rows"),
        (("run", "bad.yaml"), "no such file"),
        (("logs",), "no run yet"),
    ],
)
def test_bad_input_leaves_with_2_one_error_and_nothing_written(
    words: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    done = lakeloop(*words, home=home)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_glob_without_files_leaves_with_2_before_anything_is_written(tmp_path: Path) -> None:
    use_case = tmp_path / "demo.yaml"
    use_case.write_text(
        "name: demo\n"
        "table: {name: a.b, key: [i], event_time: t, columns: {i: long, t: timestamp, x: double, y: int}}\n"
        'source: {kind: files, path: "none/*.csv"}\nlabel: {column: "y"}\nfeatures: [x]\n',
        encoding="utf-8",
    )
    home = tmp_path / "home"
    done = lakeloop("run", str(use_case), home=home)
    assert done.returncode == 2
    assert "no file matches" in done.stderr
    assert "--rows" in lakeloop("run", str(use_case), "--rows", "5", home=home).stderr
    assert not home.exists()
