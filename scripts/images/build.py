"""Build the images whose inputs changed, and print sizes.

INDEX_URL, CA_BUNDLE (a file of certificate authorities) and BASE_IMAGE come from the environment.
"""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lakeloop.cli.task_environment import git_commit
from lakeloop.domain.errors import LakeloopError, UserError
from scripts.cluster.programs import Programs
from scripts.images.context import ROOT, build_wheel, digest, lay_out
from scripts.images.sets import SETS, ImageSet

INPUTS_LABEL: Final = "io.lakeloop.inputs"
SBOM_PATH: Final = "/usr/share/sbom/lakeloop.cdx.json"
PARTS: Final = ROOT / ".images"
BUILD_TIMEOUT_SECONDS: Final = 1800


def build_all(programs: Programs, names: Sequence[str] = ()) -> None:
    """Build the named sets, or all.

    Raises:
        UserError: there is no such set, or no Docker.
        LakeloopError: a build failed.
    """
    if unknown := sorted(set(names) - {s.name for s in SETS}):
        known = ", ".join(s.name for s in SETS)
        raise UserError(f"no image set {', '.join(unknown)}", where="images/", fix=f"name one of {known}")
    builder = Programs({**programs.environment, "DOCKER_BUILDKIT": "1"})
    with tempfile.TemporaryDirectory(prefix="lakeloop-images-") as scratch:
        wheel = build_wheel(Path(scratch, "wheel"))
        for chosen in (s for s in SETS if not names or s.name in names):
            context = Path(scratch, chosen.name)
            context.mkdir()
            lay_out(chosen, wheel, context)
            _ensure(builder, chosen, context)


def build_arguments(environment: dict[str, str]) -> dict[str, str]:
    """Arguments of every build: a private index, certificate authorities, another base image."""
    found: dict[str, str] = {}
    if index := environment.get("INDEX_URL"):
        found |= {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    if environment.get("CA_BUNDLE"):
        found["CA_FILE"] = "/run/secrets/ca_bundle"
    if base := environment.get("BASE_IMAGE"):
        found["BASE_IMAGE"] = base
    return found


def _ensure(programs: Programs, chosen: ImageSet, context: Path) -> None:
    """Build the image unless its inputs are those of the one that is there; tell its size."""
    arguments = build_arguments(dict(os.environ))
    inputs = digest(context, arguments.get("BASE_IMAGE", ""))
    started = time.monotonic()
    said = "unchanged"
    if _label(programs, chosen.tags[0]) != inputs:
        print(f"{chosen.tags[0]:28} building", flush=True)
        _build(programs, chosen, context, arguments, inputs)
        said = f"built in {time.monotonic() - started:.0f} s"
    for tag in chosen.tags[1:]:
        programs.call("docker", "tag", chosen.tags[0], tag)
    _keep_parts(programs, chosen, inputs)
    megabytes = int(_inspect(programs, chosen.tags[0])["Size"]) / 1e6
    print(f"{chosen.tags[0]:28} {megabytes:6.0f} MB  {said}", flush=True)


def _build(
    programs: Programs, chosen: ImageSet, context: Path, arguments: dict[str, str], inputs: str
) -> None:
    name, _, version = chosen.tags[0].partition(":")
    commit = git_commit(ROOT) or "unknown"
    given = dict(arguments)
    if chosen.code:
        digest_of_code = f"{name}@inputs:{inputs[:20]}"
        given |= {"LAKELOOP_GIT_COMMIT": commit, "LAKELOOP_IMAGE_DIGEST": digest_of_code}
    labels = {
        INPUTS_LABEL: inputs,
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    words = ["build", "--quiet", "--network", "host", "--tag", chosen.tags[0]]
    words += [w for k, v in labels.items() for w in ("--label", f"{k}={v}")]
    words += [w for k, v in given.items() for w in ("--build-arg", f"{k}={v}")]
    if bundle := os.environ.get("CA_BUNDLE"):
        words += ["--secret", f"id=ca_bundle,src={bundle}"]
    programs.call("docker", *words, str(context), seconds=BUILD_TIMEOUT_SECONDS)


def _keep_parts(programs: Programs, chosen: ImageSet, inputs: str) -> None:
    """The image's list of parts, beside the project, unless it is there."""
    target = PARTS / f"{chosen.name}-{inputs[:20]}.cdx.json"
    if target.exists():
        return
    words = ("run", "--rm", "--network", "none", "--entrypoint", "cat", chosen.tags[0], SBOM_PATH)
    text = programs.call("docker", *words)
    PARTS.mkdir(exist_ok=True)
    for old in PARTS.glob(f"{chosen.name}-*.cdx.json"):
        old.unlink()
    target.write_text(text, encoding="utf-8")


def _label(programs: Programs, tag: str) -> str:
    try:
        config = _inspect(programs, tag)["Config"]
    except UserError:
        raise
    except LakeloopError:
        return ""
    return str((config.get("Labels") or {}).get(INPUTS_LABEL, ""))


def _inspect(programs: Programs, tag: str) -> dict[str, Any]:
    return dict(json.loads(programs.call("docker", "image", "inspect", tag))[0])
