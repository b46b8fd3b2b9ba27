"""Another XGBoost than the one that trains: fetched once by name, kept beside the user's other caches."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

VERSION = "3.0.5"
FETCH_SECONDS = 60
UV = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "uv"


def folder() -> Path | None:
    """A folder for PYTHONPATH with XGBoost `VERSION` in it; None where it is not there and cannot be fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "lakeloop" / "scorecard" / f"xgboost-cpu-{VERSION}"
    if (place / "xgboost").is_dir() or _fetch(place):
        return place
    return None


def _fetch(place: Path) -> bool:
    words = ["--target", str(place), "--no-deps", "--quiet", f"xgboost-cpu=={VERSION}"]
    if UV.exists():
        command = [str(UV), "pip", "install", "--python", sys.executable, *words]
    elif importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", *words]
    else:
        return False
    try:
        done = subprocess.run(command, capture_output=True, timeout=FETCH_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and (place / "xgboost").is_dir()
