"""Fix the batch: make the next synthetic one, or resolve which new files it is."""

from pydantic import ValidationError

from components.generate_batch import core
from lakeloop import bootstrap
from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.errors import UserError
from lakeloop.domain.published_batches import BatchRecord, history_is_cut
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.source_files import SourceFile
from lakeloop.domain.synthetic import SyntheticSource
from lakeloop.domain.use_case import FilesSource
from lakeloop.ports.generator import SourceFolder
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Decide the batch, make its files if it is synthetic, and say what it is."""
    batch = _batch(step, _options(step.arguments["batch_options"]))
    step.write("batch_path", batch)
    step.publish(
        "batch",
        {"batch_id": batch.batch_id or "", "files": len(batch.files), "number": str(batch.number or "")},
    )
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "batch", batch.model_dump(mode="json"))
    progress(batch.note or f"batch {batch.number}: {batch.rows} rows in {len(batch.files)} files")


def _options(text: str) -> BatchOptions:
    try:
        return BatchOptions.model_validate_json(text or "{}")
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(places, where="batch options") from error


def _batch(step: Step, options: BatchOptions) -> Batch:
    source = step.use_case.source
    if not options.land:
        return core.nothing_to_land(step.use_case)
    if isinstance(source, SyntheticSource):
        return _synthetic(step, source, options)
    if isinstance(source, FilesSource):
        return _files(step, source, options)
    return core.followed_table(step.use_case)


def _synthetic(step: Step, source: SyntheticSource, options: BatchOptions) -> Batch:
    number, rows = options.number, options.rows or source.rows
    if number is None:
        number = core.next_number(*_table(step))
    progress(f"batch {number}: generating {rows} rows")
    return bootstrap.batch_generator(step.settings, rows).generate(step.use_case, number, options)


def _files(step: Step, source: FilesSource, options: BatchOptions) -> Batch:
    folder = bootstrap.source_folder(step.settings)
    state, kept = _table(step)
    found, landed = folder.find(source.path), core.landed_files(state, kept)
    for file in core.suspects(found, landed):
        core.refuse_changed(_read(folder, file), landed[file.uri])
    chosen, note = core.new_files(found, state, source, options, kept)
    for file in chosen:
        core.missing_columns(step.use_case, file, folder.columns(file, source))
    number = core.next_number(state, kept) if chosen and options.number is None else options.number
    return core.file_batch([_read(folder, f) for f in chosen], source, number, options.batch_id, note)


def _table(step: Step) -> tuple[TableState | None, tuple[BatchRecord, ...]]:
    """The table, and, where its history is cut off, the records of its batches."""
    state = bootstrap.lake(step.settings).table_state(step.use_case.table.name)
    if state is None or not history_is_cut(state):
        return state, ()
    return state, bootstrap.batch_records(step.settings).of(state.table_uuid)


def _read(folder: SourceFolder, file: SourceFile) -> SourceFile:
    return file.model_copy(update={"sha256": folder.sha256(file)})


if __name__ == "__main__":
    run_step("generate_batch", ["batch_options", "batch_path"], body)
