"""The right to begin a step, given once: to its process, or to whoever makes sure that it never begins."""

from __future__ import annotations

import os
from pathlib import Path


def ticket_path(log_path: Path) -> Path:
    """The ticket of the attempt with this log."""
    return log_path.with_suffix(".started")


def take(ticket: Path) -> bool:
    """Take a ticket; False where somebody has it, or its folder is gone."""
    try:
        os.close(os.open(ticket, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except (FileExistsError, FileNotFoundError):
        return False
    return True
