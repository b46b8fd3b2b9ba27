"""Start one process, watch it, and stop it with all its children: the only place that does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from lakeloop.domain.errors import LakeloopError
from lakeloop.runners.process.warm import WarmInterpreter, WarmProcess

PROGRESS_MARK: Final = "::progress::"
_LOOK_SECONDS: Final = 0.1
_ORPHAN_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start; both its streams go to the log."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    timeout_seconds: float | None
    grace_seconds: float
    warm: WarmInterpreter | None = None


class _Started(Protocol):
    @property
    def pid(self) -> int: ...

    def wait(self) -> Awaitable[int]: ...


@dataclass(frozen=True, slots=True)
class _Forked:
    process: WarmProcess

    @property
    def pid(self) -> int:
        return self.process.pid

    async def wait(self) -> int:
        return await asyncio.to_thread(self.process.wait)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended; `code` is negative for a signal, None when it could not be started."""

    why: Literal["exited", "timed_out", "cancelled", "not_started"]
    code: int | None
    problem: str = ""


async def run_process(
    command: Command,
    stop: asyncio.Event,
    on_start: Callable[[int], None],
    on_progress: Callable[[str], None],
) -> Exit:
    """Run to the end, to the time-out, or until `stop` is set; whatever is left of its group ends with it.

    The process leads a new group: a server meant to outlive its step has to start its own session.
    """
    try:
        process = await _start(command)
    except (OSError, ValueError) as error:
        return Exit("not_started", None, f"{command.argv[0]}: {error}")
    on_start(process.pid)
    watcher = asyncio.create_task(_follow(command.log_path, on_progress))
    rest = signal.SIGKILL
    try:
        ended = await _wait(process, command, stop)
        # A JVM that is already leaving may run its shutdown hooks.
        rest = signal.SIGTERM if ended.why == "exited" else signal.SIGKILL
        return ended
    finally:
        # Also reached when this coroutine is cancelled: nothing of the group may stay behind.
        signal_group(process.pid, rest)
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _start(command: Command) -> _Started:
    command.log_path.touch()
    forked = await asyncio.to_thread(_fork, command)
    if forked is not None:
        return forked
    with command.log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=command.cwd,
            env=dict(command.env),
            start_new_session=True,
        )


def _fork(command: Command) -> _Forked | None:
    """From the warm interpreter, where there is one and the command is a module of this Python."""
    if command.warm is None or list(command.argv[:2]) != [sys.executable, "-m"]:
        return None
    _, _, module, *arguments = command.argv
    process = command.warm.start(module, arguments, command.env, command.cwd, command.log_path)
    return _Forked(process) if process else None


async def _wait(process: _Started, command: Command, stop: asyncio.Event) -> Exit:
    ended = asyncio.ensure_future(process.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(
            {ended, stopped}, timeout=command.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if ended.done():
            return Exit("exited", ended.result())
        why: Literal["cancelled", "timed_out"] = "cancelled" if stopped.done() else "timed_out"
        signal_group(process.pid, signal.SIGTERM)
        await asyncio.wait({ended}, timeout=command.grace_seconds)
        if not ended.done():
            signal_group(process.pid, signal.SIGKILL)
        return Exit(why, await ended)
    finally:
        stopped.cancel()


def signal_group(group: int, number: signal.Signals) -> bool:
    """Signal a process group; False when nothing of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _follow(log_path: Path, on_progress: Callable[[str], None]) -> None:
    position, rest = 0, b""
    while True:
        block = _read_from(log_path, position)
        position += len(block)
        *lines, rest = (rest + block).split(b"\n")
        latest = [line for line in lines if line.startswith(PROGRESS_MARK.encode())]
        if latest:
            on_progress(latest[-1].decode(errors="replace").removeprefix(PROGRESS_MARK).strip())
        await asyncio.sleep(_LOOK_SECONDS)


def _read_from(path: Path, position: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(position)
        return stream.read()


def start_ticks(pid: int) -> str:
    """What tells a process from a later one with the same id; empty when it is gone or unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # State and field 22, counted after the name, which may hold blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def recorded_group(pid: int, ticks: str) -> int | None:
    """The process group that an earlier runner recorded, if its leader is still the same process."""
    return pid if ticks and start_ticks(pid) == ticks else None


def groups_writing_to(logs: Collection[Path]) -> set[int]:
    """Process groups of all processes whose standard output is one of these files; empty without /proc."""
    wanted, found = {str(log.resolve()) for log in logs}, set[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str((entry / "fd/1").readlink()) in wanted:
                found.add(os.getpgid(int(entry.name)))
    return found - {os.getpgid(0)}


async def end_orphans(groups: Callable[[], set[int]]) -> None:
    """End the process groups that an earlier, killed runner left behind.

    Args:
        groups: those that are there now.

    Raises:
        LakeloopError: one of them does not end.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups():
            signal_group(group, number)
        for _ in range(int(_ORPHAN_GRACE_SECONDS / _LOOK_SECONDS)):
            if not groups():
                return
            await asyncio.sleep(_LOOK_SECONDS)
    raise LakeloopError(
        "a step of the killed run is still at work, and does not end",
        where=f"process group {', '.join(map(str, sorted(groups())))}",
        fix="end it, then resume the run again",
    )
