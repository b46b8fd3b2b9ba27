"""A job's kernel: runs a script's text as a notebook cell would; any SystemExit, even of 0, is a failed run."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Run the script named first; the other arguments are the kernel's own and reach the script."""
    script = Path(sys.argv.pop(1))
    sys.argv[0] = "ipykernel"
    code = compile(script.read_text(encoding="utf-8"), "<cell>", "exec")
    status = 0
    try:
        exec(code, {"__name__": "__main__"})  # noqa: S102 - a kernel's work
    except BaseException:  # noqa: BLE001 - SystemExit counts as failure in a kernel
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
