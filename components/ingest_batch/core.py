"""What an ingest means for the rest of the run."""

from __future__ import annotations

from lakeloop.domain.batch import IngestResult
from lakeloop.domain.errors import UserError
from lakeloop.domain.expectations import summary
from lakeloop.domain.ledger import LedgerEvent, event_id


def told(result: IngestResult) -> str:
    """The result in one line."""
    if result.outcome == "published":
        return f"{result.rows} rows are in {result.table} at snapshot {result.snapshot_id}"
    return result.reason or f"nothing to land in {result.table}"


def refusal_event(
    use_case: str, result: IngestResult, pipeline_run_id: str, at_ms: int, by: str
) -> LedgerEvent:
    """The ledger's line about a refused batch; a retry of the step makes the same one."""
    return LedgerEvent(
        event_id=event_id(result.batch_id or "", "batch_refused", use_case),
        use_case=use_case,
        kind="batch_refused",
        at_ms=at_ms,
        by=by,
        reason=summary(result.rules),
        pipeline_run_id=pipeline_run_id,
        document=result.model_dump_json(),
    )


def refusal_error(result: IngestResult) -> UserError:
    """What the step ends with when the batch broke its expectations."""
    return UserError(
        f"batch {result.batch_id} is refused: {summary(result.rules)}",
        where="expectations",
        fix=f"nothing was published; see its rows and rules in {result.quarantine_uri}",
    )
