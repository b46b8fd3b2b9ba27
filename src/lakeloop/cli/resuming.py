"""A resumed run keeps the use case that it was started with: it must be the one that the command names."""

from __future__ import annotations

import json
from pathlib import Path

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import UseCase


def check_resumed(use_case: UseCase, named: str, runs_folder: Path, run_id: str, program: str) -> None:
    """Compare the use case with that of the run; a run that is not there is left to the runner.

    Args:
        use_case: as its file says now.
        named: as the command names it.
        runs_folder: of this machine's runs.
        run_id: of the run that is to go on.
        program: the command's name, for messages.

    Raises:
        UserError: the run is of another use case, or this one has changed in what can show in a model.
    """
    file = runs_folder / run_id / "run.json"
    if Path(run_id).name != run_id or not file.is_file():
        return
    text = json.loads(file.read_bytes()).get("arguments", {}).get("use_case")
    if not text:
        return
    began = UseCase.model_validate_json(text)
    if began.name != use_case.name:
        raise UserError(
            f"run {run_id} is of use case {began.name}",
            where=named,
            fix=f"{program} run {began.name} --resume {run_id}",
        )
    if began.digest() != use_case.digest():
        raise UserError(
            f"the use case has changed since run {run_id} began, and a resumed run would go on with what it was",
            where=named,
            fix=f"start a new run: {program} run {named}; or undo the change",
        )
