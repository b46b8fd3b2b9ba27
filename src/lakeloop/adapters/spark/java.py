"""Which Java runs Spark: found without starting one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lakeloop.domain.errors import UserError

OLDEST, NEWEST = 17, 21  # what Spark 4.1 names as supported
_PATTERNS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)
_VERSION = re.compile(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)')
_ASK_SECONDS = 20


def java_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Home folder of the Java to use: JAVA_HOME when it fits, else the newest suitable one that is installed.

    Raises:
        UserError: there is none; names the command that installs it.
    """
    declared = environment.get("JAVA_HOME")
    if declared and suitable(major_version(Path(declared))):
        return Path(declared)
    found = {home: major_version(home) for home in _candidates(environment)}
    fitting = {home: major for home, major in found.items() if major is not None and suitable(major)}
    if not fitting:
        seen = ", ".join(f"{major} in {home}" for home, major in found.items() if major) or "no Java"
        raise UserError(
            f"Spark needs Java {OLDEST} to {NEWEST}; found {seen}", where="java", fix=install_command()
        )
    return max(fitting, key=lambda home: fitting[home])


def suitable(major: int | None) -> bool:
    """Whether Spark runs on this feature release."""
    return major is not None and OLDEST <= major <= NEWEST


def major_version(home: Path) -> int | None:
    """Feature release of the Java in `home`, from its `release` file, else by asking it; None where there is none."""
    if not (home / "bin" / "java").exists():
        return None
    try:
        return _parsed((home / "release").read_text(encoding="utf-8"))
    except OSError:
        return _asked(home / "bin" / "java")


def install_command(platform: str = sys.platform) -> str:
    """The line that installs a suitable Java here."""
    if platform == "darwin":
        return "brew install openjdk@17"
    return "apt-get install -y openjdk-17-jre-headless (as root), or set JAVA_HOME"


def _parsed(text: str) -> int | None:
    match = _VERSION.search(text)
    return int(match.group(1)) if match else None


def _asked(program: Path) -> int | None:
    try:
        answer = subprocess.run(
            [str(program), "-version"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _parsed(answer.stderr + answer.stdout)


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    program = shutil.which("java", path=environment.get("PATH", ""))
    if program and sys.platform != "darwin":  # macOS has a stub there that only tells how to install one
        yield Path(program).resolve().parent.parent
    sdkman = Path(environment.get("HOME", "/nonexistent")) / ".sdkman" / "candidates" / "java"
    for pattern in (*_PATTERNS, f"{sdkman}/*"):
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
