"""What the report step decides: what the page is made of, and under which name it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lakeloop.domain.use_case import UseCase
from lakeloop.reporting.documents import read_documents
from lakeloop.reporting.sections import Run
from lakeloop.reporting.status import parse_status


def describe_run(
    pipeline_run_id: str, use_case: UseCase, documents: Mapping[str, Any], status: str, catalog_name: str
) -> Run:
    """All that the page is made of.

    Args:
        pipeline_run_id: the run.
        use_case: whose run it is.
        documents: the run journal's documents by name.
        status: KFP's `PipelineTaskFinalStatus` as JSON.
        catalog_name: as in the SQL that the page shows.
    """
    return Run(pipeline_run_id, use_case, read_documents(documents), parse_status(status), catalog_name)


def file_name(pipeline_run_id: str) -> str:
    """`RUN_ID.html`, with nothing in it that could leave the folder."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', pipeline_run_id).lstrip('.') or 'run'}.html"


def mlflow_run_id(documents: Mapping[str, Any]) -> str | None:
    """The MLflow run of this pipeline run's training, if it came that far."""
    training = documents.get("training")
    value = training.get("mlflow_run_id") if isinstance(training, dict) else None
    return value if isinstance(value, str) and value else None
