"""Images of other projects that the manifests name: pulled, or built where no registry is reached."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs

FOLDER: Final = Path(__file__).parents[2] / "images/stand-ins"
PULL_TIMEOUT_SECONDS: Final = 300
BUILD_TIMEOUT_SECONDS: Final = 600
STAND_INS: Final = {"postgres:15-bookworm": "postgres", "valkey/valkey:8.1.1": "valkey"}
Tell = Callable[[str], None]


def ensure_images(programs: Programs, tell: Tell) -> list[str]:
    """Have them in this machine's Docker; their names.

    Raises:
        LakeloopError: one can neither be pulled nor built.
    """
    for image, folder in STAND_INS.items():
        if not programs.succeeds("docker", "image", "inspect", image):
            _pull_or_build(programs, image, folder, tell)
    return list(STAND_INS)


def _pull_or_build(programs: Programs, image: str, folder: str, tell: Tell) -> None:
    try:
        tell(f"pulling {image}")
        programs.call("docker", "pull", "--quiet", image, seconds=PULL_TIMEOUT_SECONDS)
    except LakeloopError as error:
        reason = error.problem.splitlines()[-1]
        tell(f"{image} cannot be pulled ({reason}): building its stand-in from Debian's packages")
        words = ("build", "--quiet", "--network", "host", "--tag", image, str(FOLDER / folder))
        programs.call("docker", *words, seconds=BUILD_TIMEOUT_SECONDS)
