"""How a command that fails tells it: in words on stderr and, with `--json`, as the one document on stdout."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakeloop.domain.errors import LakeloopError
    from lakeloop.runners.process import RunResult

INTERRUPTED = 130
_OF_PLACES = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
}


def json_wanted(words: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; known before it is parsed, which may fail."""
    return "--json" in words


def error_document(problem: str, *, where: str = "", fix: str = "", exit_code: int) -> dict[str, Any]:
    """One failure: `{"error": {"problem", "where", "fix", "exit_code"}}`; what is not known is empty text."""
    return {"error": {"problem": problem, "where": where, "fix": fix, "exit_code": exit_code}}


def unusable_place(error: OSError) -> LakeloopError | None:
    """What the file system refuses, as one error that names the file; None for what is no matter of rights or space."""
    from lakeloop.domain.errors import LakeloopError

    if error.errno not in _OF_PLACES:
        return None
    return LakeloopError(
        f"{error.strerror}",
        where=str(error.filename or "the file system"),
        fix="make room or give the rights there; LAKELOOP_HOME says where lakeloop keeps its files",
    )


def failed_run(result: RunResult, exit_code: int, fix: str) -> dict[str, Any]:
    """The error of a run that did not succeed, from its failed steps; empty when it did."""
    if exit_code == 0:
        return {}
    failed = [(path, task) for path, task in result.tasks.items() if task.state == "failed"]
    problem = "; ".join(task.error for _, task in failed) or f"the run was {result.state}"
    where = ", ".join(path.rsplit("/", 1)[-1] for path, _ in failed) or f"run {result.run_id}"
    return error_document(problem, where=where, fix=fix, exit_code=exit_code)


def tell_failure(error: BaseException) -> None:
    """Print the failure that ends the command as its answer, unless it has printed one already."""
    from lakeloop.cli import output

    if not output.answered():
        output.as_json(_document(error))
        sys.stdout.flush()


def _document(error: BaseException) -> dict[str, Any]:
    from lakeloop.domain.errors import LakeloopError

    if isinstance(error, LakeloopError):
        return _named(error)
    if isinstance(error, SystemExit):
        return _left(error)
    return error_document(
        f"{type(error).__name__}: {error}",
        where="lakeloop itself",
        fix="stderr has the traceback: please report it",
        exit_code=1,
    )


def _named(error: LakeloopError) -> dict[str, Any]:
    return error_document(error.problem, where=error.where, fix=error.fix, exit_code=error.exit_code)


def _left(left: SystemExit) -> dict[str, Any]:
    """Typer leaves by SystemExit; what it has told on stderr is the exception before it."""
    code = left.code if isinstance(left.code, int) else 1
    told = left.__context__
    if code == INTERRUPTED:
        return error_document("interrupted", exit_code=code)
    message = getattr(told, "format_message", None)
    if message is None:
        return error_document("the command failed: stderr says why", exit_code=code)
    command = getattr(getattr(told, "ctx", None), "command_path", "lakeloop")
    return error_document(message(), where=command, fix=f"{command} --help has the options", exit_code=code)
