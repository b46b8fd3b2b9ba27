"""The command `lakeloop`; docs/cli.md says what its exit codes mean."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from lakeloop.domain.errors import LakeloopError


def main() -> None:
    """Entry point of the console script."""
    from lakeloop.cli import failing

    if not failing.json_wanted(sys.argv[1:]):
        _run()
        return
    try:
        _run()
    except SystemExit as left:
        if left.code:
            failing.tell_failure(left.__cause__ or left)
        raise
    except Exception as error:
        failing.tell_failure(error)
        raise


def _run() -> None:
    from lakeloop.cli.app import app
    from lakeloop.domain.errors import LakeloopError
    from lakeloop.mounts import provide_mounted_variables

    try:
        provide_mounted_variables()
        app()
    except LakeloopError as error:
        _leave(error)
    except OSError as error:
        from lakeloop.cli.failing import unusable_place

        named = unusable_place(error)
        if named is None:
            raise
        _leave(named)


def _leave(error: LakeloopError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    raise SystemExit(error.exit_code) from error


__all__ = ["main"]
