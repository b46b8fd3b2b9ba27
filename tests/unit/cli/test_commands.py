"""The command line as a script sees it: stdout, stderr, exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lakeloop import __version__
from lakeloop.cli import main
from lakeloop.cli.failing import failed_run
from lakeloop.runners.process import RunResult, TaskResult

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    *("init", "validate", "plan", "run", "status", "runs", "logs"),
    *("history", "what-served", "why", "rollback", "promote", "serve", "stop", "show", "tidy", "retire"),
    *("submit", "follow", "terminate", "schedule", "trigger"),
)


class Command:
    """`lakeloop` in this process, with a home of its own."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home, self._patch, self._capsys = home, monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._patch.setattr(sys, "argv", ["lakeloop", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = self._capsys.readouterr()
        return int(left.value.code or 0), out, err


@pytest.fixture
def lakeloop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("lakeloop.cli.output._printed", [])
    monkeypatch.setenv("LAKELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    return Command(tmp_path / "home", monkeypatch, capsys)


def test_help_lists_every_command_and_the_exit_codes(lakeloop: Command) -> None:
    code, out, _ = lakeloop("--help")
    assert code == 0
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert "4 refused" in out


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
def test_each_help_shows_an_example(command: str, lakeloop: Command) -> None:
    assert f"  lakeloop {command}" in lakeloop(command, "--help")[1]


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lakeloop.cli", "validate", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


def test_validate_prints_the_canonical_json_and_nothing_else(lakeloop: Command) -> None:
    code, out, _ = lakeloop("validate", "card_fraud", "--json")
    assert code == 0
    assert json.loads(out)["name"] == "card_fraud"


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
        (("stop",), "which endpoint?"),
        (("what-served", "card_fraud"), "nothing had been promoted"),
        (("why", "card_fraud", "1"), "no version 1"),
        (("rollback", "card_fraud", "--reason", "x"), "nothing has been promoted yet"),
        (("promote", "card_fraud", "1", "--reason", "x"), "nothing has been trained yet"),
        (("rollback", "card_fraud"), "--reason"),
    ],
)
def test_bad_input_leaves_with_2_one_error_and_nothing_written(
    words: tuple[str, ...], expected: str, lakeloop: Command
) -> None:
    code, out, err = lakeloop(*words)
    assert (code, out) == (2, "")
    assert expected in err
    assert not lakeloop.home.exists()


@pytest.mark.parametrize(
    ("words", "problem", "where"),
    [
        (("validate", "nowhere"), "no use case 'nowhere'", ""),
        (("plan", "bad.yaml"), "no such file", "bad.yaml"),
        (("status", "nowhere"), "no use case", ""),
        (("history", "nowhere"), "no use case", ""),
        (("tidy", "nowhere"), "no use case", ""),
        (("show", "nowhere.table"), "no table nowhere.table", ""),
        (("export", "nowhere"), "no use case", ""),
        (("trigger", "nowhere", "--once"), "no use case", ""),
        (("replay", "card_fraud", "1", "--from", "nothing"), "nothing to replay from", "--from"),
        (("run", "card_fraud", "--plant", "nulls:age=3"), "not a fraction", "nulls:age=3"),
        (("run", "card_fraud", "--rows", "0"), "--rows", "lakeloop run"),
        (("rollback", "card_fraud"), "--reason", "lakeloop rollback"),
        (("rollback", "card_fraud", "--reason", "x"), "nothing has been promoted yet", ""),
        (("promote", "card_fraud", "1", "--reason", "x"), "nothing has been trained yet", ""),
        (("retire", "card_fraud", "1", "--reason", " "), "the reason is empty", "--reason"),
        (("why", "card_fraud", "1"), "no version 1", ""),
        (("what-served", "card_fraud", "--at", "someday"), "someday", ""),
        (("score-batch", "nowhere"), "no use case", ""),
        (("publish-features", "nowhere"), "no use case", ""),
        (("cai", "status", "nowhere"), "", ""),
        (("schedule", "list", "--nonsense"), "--nonsense", "lakeloop schedule list"),
        (("submit", "nowhere"), "no use case", ""),
    ],
)
def test_a_failure_with_json_is_one_json_document_and_the_message_stays(
    words: tuple[str, ...], problem: str, where: str, lakeloop: Command
) -> None:
    code, out, err = lakeloop(*words, "--json")
    error = json.loads(out)["error"]
    assert set(error) == {"problem", "where", "fix", "exit_code"}
    assert (error["exit_code"], code) == (code, 2)
    assert problem in error["problem"]
    assert where in error["where"]
    assert error["problem"].splitlines()[0] in err
    assert not lakeloop.home.exists()


def test_what_nobody_foresaw_is_a_json_document_too(
    lakeloop: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr("lakeloop.use_case_files.load_use_case", broken)
    monkeypatch.setattr(sys, "argv", ["lakeloop", "validate", "card_fraud", "--json"])
    with pytest.raises(ZeroDivisionError):
        main()
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["problem"], error["exit_code"]) == ("ZeroDivisionError: by hand", 1)


def test_a_failed_step_is_the_error_of_the_run() -> None:
    failed = TaskResult(state="failed", error="no column 'age' -> add it", exit_code=2)
    result = RunResult(
        run_id="r1",
        state="failed",
        exit_code=1,
        run_dir=Path("r1"),
        tasks={"loop/ingest-batch": failed, "loop/train-model": TaskResult(state="not_run")},
    )
    error = failed_run(result, 2, "correct it")["error"]
    assert error == {
        "problem": "no column 'age' -> add it",
        "where": "ingest-batch",
        "fix": "correct it",
        "exit_code": 2,
    }
    assert failed_run(result, 0, "") == {}


def test_a_glob_without_files_leaves_with_2_before_anything_is_written(
    tmp_path: Path, lakeloop: Command
) -> None:
    use_case = tmp_path / "demo.yaml"
    use_case.write_text(
        "name: demo\n"
        "table:\n  {name: a.b, key: [i], event_time: t, columns: {i: int, t: timestamp, x: double, y: int}}\n"
        'source: {kind: files, path: "none/*.csv"}\nlabel: {column: "y"}\nfeatures: [x]\n',
        encoding="utf-8",
    )
    code, out, err = lakeloop("run", str(use_case))
    assert (code, out) == (2, "")
    assert "no file matches" in err
    assert "--rows" in lakeloop("run", str(use_case), "--rows", "5")[2]
    assert not lakeloop.home.exists()


def test_plan_of_a_table_that_is_not_there_writes_nothing(lakeloop: Command) -> None:
    code, out, _ = lakeloop("plan", "card_fraud", "--json")
    assert code == 0
    assert json.loads(out)["action"] == "nothing"
    assert not lakeloop.home.exists()


def test_init_writes_one_file_that_validates_and_keeps_what_is_there(
    tmp_path: Path, lakeloop: Command
) -> None:
    rows = "".join(f"{i},2024-03-01 {i // 60:02d}:{i % 60:02d}:00,{i / 7:.3f},{i % 2}\n" for i in range(200))
    (tmp_path / "trips.csv").write_text("id,at,fare,late\n" + rows, encoding="utf-8")
    file = tmp_path / "new" / "trips.yaml"
    words = ("init", str(tmp_path / "trips.csv"), "-o", str(file))
    assert lakeloop(*words)[0] == 0
    assert [path.name for path in file.parent.iterdir()] == ["trips.yaml"]
    assert "valid: trips" in lakeloop("validate", str(file))[1]
    code, _, err = lakeloop(*words)
    assert code == 2
    assert "is there already" in err
    assert not lakeloop.home.exists()


def test_the_version_is_told(lakeloop: Command) -> None:
    assert lakeloop("--version") == (0, f"lakeloop {__version__}\n", "")


@pytest.mark.parametrize(("words", "exit_code"), [(("run", "card_fraud"), 2), (("serve", "card_fraud"), 1)])
def test_a_home_that_cannot_be_written_to_is_one_error(
    lakeloop: Command, words: tuple[str, ...], exit_code: int
) -> None:
    lakeloop.home.write_text("a file", encoding="utf-8")
    code, out, err = lakeloop(*words, "--json")
    assert code == exit_code
    assert str(lakeloop.home) in json.loads(out)["error"]["where"]
    assert err.startswith("error: ")
    assert err.count("\n") == 1
