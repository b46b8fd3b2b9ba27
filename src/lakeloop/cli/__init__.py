"""The command `lakeloop`; docs/cli.md says what its exit codes mean."""

import sys


def main() -> None:
    """Entry point of the console script."""
    from lakeloop.cli.app import app
    from lakeloop.domain.errors import LakeloopError
    from lakeloop.mounts import provide_mounted_variables

    try:
        provide_mounted_variables()
        app()
    except LakeloopError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


__all__ = ["main"]
