"""The embedded store of MLflow, made by whoever comes first: whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakeloop.adapters.mlflow.client import experiment_id, open_client
from lakeloop.settings import Settings

OPENS = (
    "import sys\nfrom pathlib import Path\nfrom lakeloop.adapters.mlflow.client import open_client\n"
    "from lakeloop.settings import Settings\nopen_client(Settings(home=Path(sys.argv[1])))"
)
LIMIT_SECONDS = 60


def written(home: Path) -> int:
    """Bytes of the store, wherever it is being made."""
    places = (home / "mlflow.db", home / ".mlflow.db.new")
    return sum(path.stat().st_size for path in places if path.exists())


@pytest.mark.parametrize("at_bytes", [1, 150_000, 300_000])
def test_a_store_whose_maker_was_killed_is_made_anew(tmp_path: Path, at_bytes: int) -> None:
    home, deadline = tmp_path / "home", time.monotonic() + LIMIT_SECONDS
    maker = subprocess.Popen([sys.executable, "-c", OPENS, str(home)])
    while maker.poll() is None and written(home) < at_bytes and time.monotonic() < deadline:
        time.sleep(0.001)
    maker.kill()
    maker.wait(LIMIT_SECONDS)
    assert any(home.iterdir())
    settings = Settings(home=home)
    assert experiment_id(open_client(settings), settings, "case")
    assert sorted(path.name for path in home.iterdir()) == ["mlflow.db", "mlflow.lock"]


def test_two_that_come_at_once_find_the_same_store(tmp_path: Path) -> None:
    makers = [subprocess.Popen([sys.executable, "-c", OPENS, str(tmp_path)]) for _ in range(2)]
    assert [maker.wait(2 * LIMIT_SECONDS) for maker in makers] == [0, 0]
