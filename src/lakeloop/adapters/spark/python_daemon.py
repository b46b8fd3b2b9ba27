"""What Spark starts on this machine to fork its Python workers: pyspark's own daemon, without archives on the path.

Spark puts `pyspark.zip`, py4j's and a jar before all else on its workers' path. Before each task a worker has Python
forget what it knows of the path, whereupon CPython reads the directories of all archives again: a tenth of a second a
task. The same pyspark is installed beside lakeloop, as files that are compiled already.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def leave_archives() -> None:
    """Take archives off the path of this process, unless pyspark is nowhere else."""
    before = list(sys.path)
    archives = [entry for entry in before if Path(entry).is_file()]
    sys.path[:] = [entry for entry in before if entry not in archives]
    if find_spec("pyspark") is None or find_spec("py4j") is None:
        sys.path[:] = before
        return
    for entry in [known for known in sys.path_importer_cache if known.startswith(tuple(archives))]:
        del sys.path_importer_cache[entry]


if __name__ == "__main__":
    leave_archives()
    from pyspark.daemon import manager

    manager()
