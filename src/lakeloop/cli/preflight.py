"""What can be known to be wrong before a run writes anything."""

from __future__ import annotations

from glob import glob
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import FilesSource, TableSource, UseCase

if TYPE_CHECKING:
    from lakeloop.settings import Settings


def check_once(use_case: UseCase, settings: Settings) -> None:
    """Try the use case's expressions and parameters, unless exactly this one was tried here before.

    Raises:
        UserError: one does not work, or the home cannot be written to.
    """
    from lakeloop import __version__

    seen = settings.root / "checked" / f"{use_case.digest()}-{__version__}"
    if seen.exists():
        return
    from lakeloop.preflight import check_use_case

    check_use_case(use_case)
    try:
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()
    except OSError as error:
        raise UserError(
            f"nothing can be written there: {error.strerror}",
            where=f"LAKELOOP_HOME {settings.root}",
            fix="name a folder that you may write to, or make room",
        ) from error


def check_batch(use_case: UseCase, settings: Settings) -> None:
    """Look for the batch's source.

    Raises:
        UserError: the glob matches no file, or the table to follow does not exist.
    """
    match use_case.source:
        case FilesSource(path=path) if "://" not in path and not glob(path, recursive=True):  # noqa: PTH207 - absolute
            raise UserError(f"no file matches {path}", where="source.path", fix="correct the glob")
        case TableSource():
            _table_exists(use_case, settings)


def _table_exists(use_case: UseCase, settings: Settings) -> None:
    from lakeloop import bootstrap

    if bootstrap.lake(settings).table_state(use_case.table.name) is None:
        raise UserError(
            f"there is no table {use_case.table.name} in catalog {settings.catalog_name}",
            where="table.name",
            fix="create the table, correct the name, or point LAKELOOP_ICEBERG_CATALOG at its catalog",
        )
