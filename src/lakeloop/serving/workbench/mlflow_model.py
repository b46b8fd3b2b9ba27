"""MLflow's python_function loader of a serving folder: what the workbench calls in a registered version's build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakeloop.serving.workbench.answering import Answering


class RowsModel:
    """Answers a data frame with a list of records."""

    def __init__(self, folder: Path) -> None:
        self._answering = Answering(folder)

    def predict(self, model_input: Any, params: Any = None) -> list[dict[str, Any]]:  # noqa: ARG002 - MLflow's form
        """Records of a pandas frame's rows."""
        columns = [str(name) for name in model_input.columns]
        return self._answering.records(columns, model_input.astype(object).to_numpy().tolist())


def _load_pyfunc(path: str) -> RowsModel:
    """MLflow calls it with the model's folder."""
    return RowsModel(Path(path))
