"""The variables of a run's steps: relative places made absolute, and the commit that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeloop.settings import Settings

GIT_TIMEOUT_SECONDS = 5


def task_environment(settings: Settings, here: Path) -> dict[str, str]:
    """Steps start in another folder than the command, so that paths in variables must not depend on it."""
    variables = {"LAKELOOP_HOME": str(settings.root)}
    if settings.spark_jars_folder:
        variables["LAKELOOP_SPARK_JARS_FOLDER"] = str(here / settings.spark_jars_folder)
    if "LAKELOOP_GIT_COMMIT" not in os.environ and (commit := git_commit(here)):
        variables["LAKELOOP_GIT_COMMIT"] = commit
    return variables


def git_commit(folder: Path) -> str:
    """The commit checked out, `+changes` behind it when files differ; empty outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit and commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
