"""`make kind-down`: remove the kind cluster and all it holds; images of this machine's Docker stay."""

import os
import subprocess
from pathlib import Path
from typing import Final

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.bring_up import command, programs_of
from scripts.cluster.programs import script

DOWN_TIMEOUT_SECONDS: Final = 300


def main() -> None:
    """By the `down` beside the user's own `up`, else by kind."""
    cluster = os.environ.get("CLUSTER", "lakeloop")
    up = command()
    down = Path(up[0]).with_name("down") if up else None
    if down is not None and down.is_file():
        code = subprocess.run([down], timeout=DOWN_TIMEOUT_SECONDS, check=False).returncode
        if code:
            raise LakeloopError(f"exit code {code}", where=str(down), fix="see the lines above")
        print(f"no kind cluster {cluster}")
        return
    programs = programs_of(cluster)
    if cluster in programs.call("kind", "get", "clusters").split():
        programs.call("kind", "delete", "cluster", "--name", cluster, seconds=DOWN_TIMEOUT_SECONDS)
    print(f"no kind cluster {cluster}")


if __name__ == "__main__":
    script(main)
