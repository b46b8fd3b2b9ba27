"""How much memory this process may still take: the container's limit, or what the machine has free."""

from __future__ import annotations

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def available_bytes(cgroup: Path = CGROUP, proc: Path = PROC) -> int | None:
    """The smaller of both; None where neither is known (no Linux).

    Source: cgroup v2 `memory.max`, `memory.current` and `inactive_file` of `memory.stat`, which is given back on
    demand; `MemAvailable` of /proc/meminfo.
    """
    known = [value for value in (_of_container(cgroup), _of_machine(proc)) if value is not None]
    return min(known, default=None)


def _of_container(cgroup: Path) -> int | None:
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is None or used is None:
        return None
    return max(0, limit - used + _field(cgroup / "memory.stat", "inactive_file"))


def _of_machine(proc: Path) -> int | None:
    kibibytes = _field(proc / "meminfo", "MemAvailable:")
    return kibibytes * 1024 or None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.split()[:1] == [name]]
    return int(found[0]) if found else 0
