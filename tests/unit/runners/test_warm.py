"""Steps forked from a warm interpreter behave as if started by themselves."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop.runners.process.processes import Command, Exit, run_process, signal_group
from lakeloop.runners.process.tickets import take, ticket_path
from lakeloop.runners.process.warm import WarmInterpreter

READY_TIMEOUT_SECONDS = 20

STEP = """
import json, os, sys
import colorsys
told = {"argv": sys.argv[1:], "name": __name__, "cwd": os.getcwd(), "own": os.environ.get("OWN"),
        "foreign": os.environ.get("FOREIGN"), "parent": os.getppid(),
        "leads_group": os.getpgid(0) == os.getpid(),
        "stdin": sys.stdin.read()}
print(json.dumps(told), flush=True)
if "--wait" in sys.argv:
    import time
    time.sleep(60)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[WarmInterpreter]:
    (tmp_path / "warm_step.py").write_text(STEP)
    interpreter = WarmInterpreter(["colorsys", "no_such_module"], tmp_path, {**os.environ, "FOREIGN": "1"})
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not interpreter.ready:
        assert time.monotonic() < deadline, "the warm interpreter never became ready"
        time.sleep(0.02)
    yield interpreter
    interpreter.close()


def run(warm: WarmInterpreter, folder: Path, *arguments: str, **environment: str) -> tuple[Exit, list[dict]]:
    log = folder / f"log-{time.monotonic_ns()}.txt"
    argv = [sys.executable, "-m", "warm_step", *arguments]
    command = Command(argv, {**clean(), **environment}, folder, log, 1.0, 0.5, warm)
    pids: list[int] = []
    ended = asyncio.run(run_process(command, asyncio.Event(), pids.append, lambda _: None))
    return ended, [json.loads(line) | {"pid": pids[0]} for line in log.read_text().splitlines()]


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "FOREIGN"}


def test_a_forked_step_has_its_own_arguments_environment_folder_group_and_exit_code(
    warm: WarmInterpreter, tmp_path: Path
) -> None:
    ended, [told] = run(warm, tmp_path, "7", "--flag", OWN="mine")
    assert ended == Exit("exited", 7)
    assert told["argv"] == ["7", "--flag"]
    assert (told["name"], told["cwd"], told["own"]) == ("__main__", str(tmp_path), "mine")
    assert told["foreign"] is None
    assert told["leads_group"]
    assert told["stdin"] == ""
    assert told["parent"] != os.getpid(), "it was not forked from the warm interpreter"


def test_the_interpreter_says_nothing_but_what_is_missing(
    capfd: pytest.CaptureFixture[str], warm: WarmInterpreter
) -> None:
    assert warm.ready
    said = capfd.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["no_such_module is not here"]


def test_a_forked_step_is_stopped_at_its_time_limit(warm: WarmInterpreter, tmp_path: Path) -> None:
    ended, _ = run(warm, tmp_path, "0", "--wait")
    assert ended.why == "timed_out"
    assert ended.code == -15


def test_other_start_up_variables_get_an_interpreter_of_their_own(
    warm: WarmInterpreter, tmp_path: Path
) -> None:
    _, [told] = run(warm, tmp_path, "0", OMP_NUM_THREADS="1")
    assert told["parent"] == os.getpid()


def test_without_the_interpreter_steps_start_the_plain_way(warm: WarmInterpreter, tmp_path: Path) -> None:
    signal_group(warm._process.pid, 9)
    warm._process.wait(timeout=5)
    ended, [told] = run(warm, tmp_path, "0")
    assert ended == Exit("exited", 0)
    assert told["parent"] == os.getpid()


def test_what_a_step_leaves_to_its_end_happens(warm: WarmInterpreter, tmp_path: Path) -> None:
    (tmp_path / "warm_ending.py").write_text(
        "import atexit, sys, threading, time\n"
        "atexit.register(lambda: print('atexit'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
        "raise ValueError('wrong')\n"
    )
    log = tmp_path / "ending.txt"
    command = Command([sys.executable, "-m", "warm_ending"], clean(), tmp_path, log, 5.0, 0.5, warm)
    ended = asyncio.run(run_process(command, asyncio.Event(), lambda _: None, lambda _: None))
    assert ended == Exit("exited", 1)
    text = log.read_text()
    assert "ValueError: wrong" in text
    assert text.index("thread") < text.index("atexit")


def test_later_modules_are_there_after_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text("import sys\nprint('colorsys' in sys.modules)\n")
    warm = WarmInterpreter([], tmp_path, os.environ, later=["colorsys"])
    try:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        said: list[str] = []
        while said[-1:] != ["True"]:
            assert time.monotonic() < deadline, f"never imported: {said}"
            log = tmp_path / f"seen-{time.monotonic_ns()}.txt"
            process = warm.start("seen", [], os.environ, tmp_path, log)
            if process is not None:
                process.wait(timeout=10)
                said += log.read_text().split()
                time.sleep(0.4)
        assert said[0] == "False", "the first step does not wait for later modules"
    finally:
        warm.close()


def test_the_interpreter_ends_with_its_runner(tmp_path: Path) -> None:
    code = (
        "import os\nfrom pathlib import Path\nfrom lakeloop.runners.process.warm import WarmInterpreter\n"
        "w = WarmInterpreter([], Path('.'), os.environ)\nprint(w._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    pid, deadline = int(done.stdout), time.monotonic() + READY_TIMEOUT_SECONDS
    while (
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
    ):
        assert time.monotonic() < deadline, "the warm interpreter outlived its runner"
        time.sleep(0.05)


def test_a_step_whose_ticket_is_taken_never_works(warm: WarmInterpreter, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert take(ticket_path(log))
    process = warm.start("warm_step", ["0"], clean(), tmp_path, log)
    assert process is not None
    assert process.wait(10) == 1
    assert log.read_text() == ""


def test_a_request_that_a_busy_interpreter_reads_too_late_is_started_once(
    warm: WarmInterpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain way is taken after the time limit, and the fork that comes at last leaves again."""
    monkeypatch.setattr("lakeloop.runners.process.warm.START_TIMEOUT_SECONDS", 0.3)
    os.kill(warm.pid, signal.SIGSTOP)
    ended, [told] = run(warm, tmp_path, "7")
    assert ended == Exit("exited", 7)
    assert told["parent"] == os.getpid()
    os.kill(warm.pid, signal.SIGCONT)
    _, [again] = run(warm, tmp_path, "0")
    assert again["parent"] != os.getpid(), "the interpreter is at work again"
    logs = [path.read_text().splitlines() for path in tmp_path.glob("log-*.txt")]
    assert [len(lines) for lines in logs] == [1, 1]
