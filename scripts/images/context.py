"""A build context: nothing but what the image is made of, so that its digest says when to build again."""

import hashlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from lakeloop.adapters.spark.jars import ensure_jars, locked, verify
from lakeloop.domain.errors import LakeloopError
from lakeloop.settings import Settings
from scripts.images.sets import SETS, SHARED, ImageSet

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "images"
_UV: Final = ROOT / ".tools/bin/uv"
_JARS_LOCK: Final = IMAGES / "spark/jars.lock"
_BUNDLE: Final = "software.amazon.awssdk:bundle"  # 600 MB; Iceberg's bundle has the parts of it that are used


def lay_out(chosen: ImageSet, wheel: Path, folder: Path) -> None:
    """Fill an empty folder with the context of one image.

    Raises:
        LakeloopError: a dependency cannot be exported, or a jar is not the locked one.
    """
    for path in sorted((IMAGES / chosen.name).iterdir()):
        if path.name not in {"jars.lock", "packages.txt"}:
            shutil.copy(path, folder / path.name)
    shutil.copy(IMAGES / "tools.txt", folder / "tools.txt")
    for name, lines in layers(chosen.name).items():
        (folder / name).write_text("".join(sorted(lines)), encoding="utf-8")
    if chosen.code:
        (folder / "wheel").mkdir()
        shutil.copy(wheel, folder / "wheel" / wheel.name)
    if chosen.jars:
        (folder / "jars").mkdir()
        for jar in image_jars():
            shutil.copy(jar, folder / "jars" / jar.name)


def layers(image: str) -> dict[str, frozenset[str]]:
    """File of requirements -> what it pins, each with its hashes: what images share, then what is the image's own.

    Raises:
        LakeloopError: a dependency cannot be exported.
    """
    own, found = _pinned(image), {}
    for layer, sharing in SHARED.items():
        if image in sharing:
            found[f"requirements-{layer}.txt"] = frozenset.intersection(*map(_pinned, sharing)) & own
            own -= found[f"requirements-{layer}.txt"]
    return {**found, "requirements.txt": own}


@cache
def _pinned(image: str) -> frozenset[str]:
    extras = next(chosen.extras for chosen in SETS if chosen.name == image)
    lines = [
        line for line in _requirements(extras).splitlines(keepends=True) if not line.lstrip().startswith("#")
    ]
    return frozenset(re.split(r"(?<=\n)(?=\S)", "".join(lines)))


def image_jars() -> list[Path]:
    """Spark's jars of a cluster, fetched once by Ivy and compared with images/spark/jars.lock.

    Raises:
        LakeloopError: one is missing or has other bytes.
    """
    packages = tuple((IMAGES / "spark/packages.txt").read_text(encoding="utf-8").split())
    base = Settings()
    conf = {**base.spark_conf, "spark.jars.excludes": _BUNDLE}
    settings = base.model_copy(update={"spark_packages": packages, "spark_conf": conf})
    expected = locked(_JARS_LOCK)
    jars = [jar for jar in ensure_jars(settings) if jar.name in expected]
    if missing := sorted(set(expected) - {jar.name for jar in jars}):
        raise LakeloopError(f"{', '.join(missing)} was not fetched", where=str(_JARS_LOCK), fix="lock anew")
    verify(jars, expected)
    return jars


def build_wheel(folder: Path) -> Path:
    """The wheel of lakeloop, its steps and pipelines; the same bytes for the same sources.

    Raises:
        LakeloopError: the build failed.
    """
    _uv("build", "--wheel", "--quiet", "--out-dir", str(folder))
    return next(folder.glob("*.whl"))


def digest(folder: Path, *arguments: str) -> str:
    """Of all files below a context, and of what else the build is told."""
    found = hashlib.sha256("\0".join(arguments).encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _requirements(extras: tuple[str, ...]) -> str:
    options = [word for extra in extras for word in ("--extra", extra)]
    return _uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet", *options)


def _uv(*words: str) -> str:
    done = subprocess.run([_UV, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise LakeloopError(
            done.stderr.strip() or "uv failed", where=f"uv {words[0]}", fix="see the lines above"
        )
    return done.stdout
