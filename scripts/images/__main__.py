"""`make images`: build what changed, print sizes.

INDEX_URL, CA_BUNDLE (a file of certificate authorities), BASE_IMAGE and DOCKER (the client) come from the environment.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from lakeloop.cli.task_environment import git_commit
from lakeloop.domain.errors import LakeloopError, UserError
from scripts.images.context import ROOT, build_wheel, digest, lay_out
from scripts.images.sets import SETS, ImageSet

INPUTS_LABEL: Final = "io.lakeloop.inputs"
BUILD_TIMEOUT_SECONDS: Final = 1800
DOCKER: Final = os.environ.get("DOCKER", "docker")


def main() -> None:
    """Build the named sets, or all."""
    parser = argparse.ArgumentParser(prog="python -m scripts.images", description=__doc__)
    parser.add_argument("names", nargs="*", help="image sets; all when none is named")
    names = parser.parse_args().names
    if unknown := sorted(set(names) - {s.name for s in SETS}):
        raise UserError(
            f"no image set {', '.join(unknown)}", where="images/", fix=", ".join(s.name for s in SETS)
        )
    with tempfile.TemporaryDirectory(prefix="lakeloop-images-") as scratch:
        wheel = build_wheel(Path(scratch, "wheel"))
        for chosen in (s for s in SETS if not names or s.name in names):
            context = Path(scratch, chosen.name)
            context.mkdir()
            lay_out(chosen, wheel, context)
            ensure(chosen, context)


def ensure(chosen: ImageSet, context: Path) -> None:
    """Build the image unless its inputs are those of the one that is there; tell its size."""
    arguments = _build_arguments()
    inputs = digest(context, arguments.get("BASE_IMAGE", ""))
    started = time.monotonic()
    said = "unchanged"
    if _label(chosen.tags[0]) != inputs:
        print(f"{chosen.tags[0]:28} building", flush=True)
        _build(chosen, context, arguments, inputs)
        said = f"built in {time.monotonic() - started:.0f} s"
    for tag in chosen.tags[1:]:
        _docker("tag", chosen.tags[0], tag)
    megabytes = int(_inspect(chosen.tags[0])["Size"]) / 1e6
    print(f"{chosen.tags[0]:28} {megabytes:6.0f} MB  {said}", flush=True)


def _build(chosen: ImageSet, context: Path, arguments: dict[str, str], inputs: str) -> None:
    commit = git_commit(ROOT) or "unknown"
    given = {
        **arguments,
        "LAKELOOP_GIT_COMMIT": commit,
        "LAKELOOP_IMAGE_DIGEST": f"{chosen.tags[0]}@inputs:{inputs[:20]}",
    }
    labels = {
        INPUTS_LABEL: inputs,
        "org.opencontainers.image.title": chosen.tags[0].partition(":")[0],
        "org.opencontainers.image.version": chosen.tags[0].partition(":")[2],
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    words = ["build", "--network", "host", "--tag", chosen.tags[0]]
    words += [w for k, v in labels.items() for w in ("--label", f"{k}={v}")]
    words += [w for k, v in given.items() if chosen.code or k in arguments for w in ("--build-arg", f"{k}={v}")]
    bundle = os.environ.get("CA_BUNDLE")
    if bundle:
        words += ["--secret", f"id=ca_bundle,src={bundle}"]
    _docker(*words, str(context), show=True)


def _build_arguments() -> dict[str, str]:
    found: dict[str, str] = {}
    if index := os.environ.get("INDEX_URL"):
        found |= {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    if os.environ.get("CA_BUNDLE"):
        found["SSL_CERT_FILE"] = "/run/secrets/ca_bundle"
    if base := os.environ.get("BASE_IMAGE"):
        found["BASE_IMAGE"] = base
    return found


def _label(tag: str) -> str:
    try:
        return str((_inspect(tag)["Config"].get("Labels") or {}).get(INPUTS_LABEL, ""))
    except LakeloopError:
        return ""


def _inspect(tag: str) -> dict[str, object]:
    return dict(json.loads(_docker("image", "inspect", tag))[0])


def _docker(*words: str, show: bool = False) -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    try:
        done = subprocess.run(
            [DOCKER, *words],
            env=environment,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise UserError("docker is not there", where=DOCKER, fix="install Docker, or set DOCKER") from error
    if done.returncode:
        raise LakeloopError(
            (done.stderr or "the build failed").strip(),
            where=f"docker {words[0]}",
            fix="see the lines above",
        )
    return done.stdout or ""


if __name__ == "__main__":
    try:
        main()
    except LakeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
