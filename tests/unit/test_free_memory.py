"""How much memory a step may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.free_memory import available_bytes

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {8 * GIB // 1024} kB\n")
    return tmp_path


def container(folder: Path, limit: str) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{3 * GIB}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\n")
    return folder


def test_the_smaller_of_container_and_machine_counts(machine: Path) -> None:
    assert available_bytes(machine / "none", machine) == 8 * GIB
    assert available_bytes(container(machine, str(4 * GIB)), machine) == 2 * GIB
    assert available_bytes(container(machine, "max"), machine) == 8 * GIB
    assert available_bytes(container(machine, str(2 * GIB)), machine) == 0
    assert available_bytes(container(machine, str(64 * GIB)), machine) == 8 * GIB


def test_elsewhere_nothing_is_known(tmp_path: Path) -> None:
    assert available_bytes(tmp_path, tmp_path) is None
