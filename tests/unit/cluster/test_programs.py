"""Which Docker client is used where several are installed."""

from pathlib import Path

from scripts.cluster.programs import docker_client


def client(folder: Path, version: str, *, buildx: bool) -> str:
    """A program that answers as Docker's client of that version does."""
    folder.mkdir()
    file = folder / "docker"
    plugin = "echo buildx 1" if buildx else "exit 1"
    file.write_text(
        f'#!/bin/sh\ncase $1 in --version) echo "Docker version {version}, build 1";; buildx) {plugin};; esac\n'
    )
    file.chmod(0o755)
    return str(file)


def test_a_client_that_cannot_build_is_passed_over(tmp_path: Path) -> None:
    bare = client(tmp_path / "bare", "28.2.2", buildx=False)
    old = client(tmp_path / "old", "20.10.24+dfsg1", buildx=False)
    new = client(tmp_path / "new", "28.2.2", buildx=True)

    def chosen(*folders: str) -> str | None:
        return docker_client(":".join(str(tmp_path / folder) for folder in folders))

    assert chosen("bare", "old", "new") == old
    assert chosen("bare", "new", "old") == new
    assert chosen("bare") == bare
    assert chosen("empty") is None
