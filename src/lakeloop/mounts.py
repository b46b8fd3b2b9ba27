"""Mounted ConfigMaps and Secrets, a file a key: how a pod gets its settings and credentials."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

PREFIX: Final = "LAKELOOP_"
MOUNTS_VARIABLE: Final = "LAKELOOP_MOUNTED_SETTINGS"
DEFAULT_MOUNTS: Final = ("/etc/lakeloop/settings", "/etc/lakeloop/credentials")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def mounted_folders() -> list[Path]:
    """The folders that are there, in the order in which a later one wins."""
    named = os.environ.get(MOUNTS_VARIABLE)
    folders = named.split(os.pathsep) if named is not None else DEFAULT_MOUNTS
    return [folder for folder in map(Path, folders) if folder.is_dir()]


def provide_mounted_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make variables of keys that are not lakeloop's own (AWS_REGION, PGPASSWORD): other clients read no folders.

    What the environment says already stays.
    """
    for folder in reversed(mounted_folders()):
        for path in sorted(folder.iterdir()):
            own = path.name.startswith(PREFIX)
            if not own and _VARIABLE.fullmatch(path.name) and path.is_file():
                environment.setdefault(path.name, path.read_text(encoding="utf-8").strip())
