"""What a batch scoring covers, and how its parts are named."""

from __future__ import annotations

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.errors import UserError
from lakeloop.domain.history import row_effect
from lakeloop.domain.snapshots import TableState, ancestry


class ScoringJob(Frozen):
    """One model over the rows of one table: all of them at a snapshot, or those that a range added."""

    table: str
    table_uuid: str
    from_snapshot_id: str | None = Field(description="Exclusive; None: all rows of the end snapshot.")
    to_snapshot_id: str
    model_name: str
    model_version: str
    model_digest: str
    past_snapshot_id: str | None = Field(
        default=None, description="Of the use case's table, where the model looks at earlier rows: at these."
    )

    @property
    def job_id(self) -> str:
        """Its identity, 20 hex digits: the same rows by the same bytes of a model are scored once."""
        value = [self.table_uuid, self.from_snapshot_id, self.to_snapshot_id, self.model_digest]
        value += [self.past_snapshot_id] if self.past_snapshot_id else []
        return sha256_hex(canonical_json(value))[:20]

    def piece_id(self, file: str) -> str:
        """Identity of the scores of one data file's rows."""
        return f"{self.job_id}-{sha256_hex(file)[:12]}"

    @property
    def target(self) -> str:
        """The Iceberg table of the scores."""
        return f"predictions.{self.model_name}_batch"


class Scored(Frozen):
    """What a batch scoring came to (artifact `scored` of score_batch)."""

    job: ScoringJob
    job_id: str
    target: str
    files: int
    rows: int = Field(description="New rows; those of an earlier attempt are not counted.")
    files_before: int = Field(description="Files that an earlier attempt had scored.")


def scoring_range(
    state: TableState | None, table: str, from_snapshot_id: str | None, to_snapshot_id: str | None
) -> tuple[str | None, str]:
    """The range's ends, the newest snapshot for an open end.

    Raises:
        UserError: no table, no rows, an unknown snapshot, or a range that did more than append.
    """
    if state is None or state.current_snapshot_id is None:
        raise UserError("there is no such table, or it has no rows", where=table, fix="land a batch first")
    end = to_snapshot_id or state.current_snapshot_id
    path = [s.snapshot_id for s in ancestry(state).snapshots]
    for given in (end, from_snapshot_id):
        if given is not None and given not in path:
            raise UserError(
                f"{given} is no snapshot of main's history", where=table, fix="lakeloop plan shows it"
            )
    if from_snapshot_id is None:
        return None, end
    between = path[path.index(end) : path.index(from_snapshot_id)]
    if not between:
        raise UserError(f"{from_snapshot_id} does not come before {end}", where=table, fix="swap them")
    by_id = {s.snapshot_id: s for s in state.snapshots}
    other = next((i for i in between if row_effect(by_id[i]) != "append"), None)
    if other is not None:
        raise UserError(
            f"snapshot {other} of the range is no plain append, so its new rows are not known",
            where=table,
            fix="score the whole table: leave --from out",
        )
    return from_snapshot_id, end


def rows_to_score(state: TableState, from_snapshot_id: str | None, to_snapshot_id: str) -> int | None:
    """Rows of a job, from metadata alone; None where it does not tell.

    Args:
        state: of the table.
        from_snapshot_id: exclusive; None: all rows of the end snapshot.
        to_snapshot_id: of main's history.
    """
    by_id = {s.snapshot_id: s for s in state.snapshots}
    if from_snapshot_id is None:
        return by_id[to_snapshot_id].count("total-records")
    path = [s.snapshot_id for s in ancestry(state).snapshots]
    between = path[path.index(to_snapshot_id) : path.index(from_snapshot_id)]
    counts = [by_id[i].count("added-records") for i in between]
    return None if None in counts else sum(c for c in counts if c is not None)
