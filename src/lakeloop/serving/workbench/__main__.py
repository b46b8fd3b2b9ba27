"""`python -m lakeloop.serving.workbench FOLDER`: one request from standard input, answered as the workbench would.

The deployer proves a model with it before the platform takes the old one away.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.serving.rows import InvalidRequest
from lakeloop.serving.workbench.answering import Answering


def main() -> int:
    """Answer and leave; the exit code."""
    try:
        split = json.load(sys.stdin)["dataframe_split"]
        records = Answering(Path(sys.argv[1])).records(split["columns"], split["data"])
    except (LakeloopError, InvalidRequest, ValueError, KeyError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps({"response": records}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
