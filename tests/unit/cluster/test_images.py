"""What makes an image be built again, and that its parts are locked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from components import images
from scripts.golden import TOOLS, build_tools
from scripts.images.build import build_arguments
from scripts.images.context import IMAGES, digest, layers
from scripts.images.sets import SETS, SHARED

ROOT = Path(__file__).parents[3]
DOCKERFILES = sorted(IMAGES.rglob("Dockerfile"))


def context(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_same_inputs_are_not_built_again(tmp_path: Path) -> None:
    one = context(tmp_path / "a", Dockerfile="FROM x", code="1")
    two = context(tmp_path / "b", code="1", Dockerfile="FROM x")
    assert digest(one, "base") == digest(two, "base")


def test_another_byte_name_mode_or_base_is_built(tmp_path: Path) -> None:
    same = context(tmp_path / "a", code="1")
    others = [context(tmp_path / "b", code="2"), context(tmp_path / "c", cod="e1")]
    executable = context(tmp_path / "d", code="1")
    (executable / "code").chmod(0o755)
    found = {digest(same, "base"), digest(same, "other"), *(digest(o, "base") for o in (*others, executable))}
    assert len(found) == 5


def test_a_private_index_and_authority_reach_the_build_alone() -> None:
    given = build_arguments({"INDEX_URL": "https://index", "CA_BUNDLE": "/ca.pem", "BASE_IMAGE": "mine:1"})
    assert given == {
        "PIP_INDEX_URL": "https://index",
        "UV_DEFAULT_INDEX": "https://index",
        "CA_FILE": "/run/secrets/ca_bundle",
        "BASE_IMAGE": "mine:1",
    }
    assert build_arguments({"INDEX_URL": "", "CA_BUNDLE": ""}) == {}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.parent.name)
def test_the_given_authority_holds_also_where_the_base_names_others_in_its_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    calls = re.findall(r'(\w+)="\$\{CA_FILE\}" \S+/(pip|uv pip) .*?install', text)
    assert set(calls) <= {("REQUESTS_CA_BUNDLE", "pip"), ("SSL_CERT_FILE", "uv pip")}
    assert len(calls) == text.count("--require-hashes")


def test_every_image_that_a_step_names_is_built() -> None:
    named = {images.SPARK, images.TRAIN, images.DEPLOY, images.DISTRIBUTED}
    assert named <= {tag for chosen in SETS for tag in chosen.tags}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.parent.name)
def test_an_image_ends_as_a_numbered_user_on_a_named_base(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)[-1] != "0"
    assert re.search(r"^ARG BASE_IMAGE=\S+:\S+$", text, re.MULTILINE)
    assert "latest" not in text


@pytest.mark.parametrize("chosen", SETS, ids=lambda s: s.name)
def test_dependencies_are_installed_by_hash_and_listed(chosen: object) -> None:
    text = (IMAGES / getattr(chosen, "name") / "Dockerfile").read_text(encoding="utf-8")  # noqa: B009
    name = getattr(chosen, "name")  # noqa: B009
    installed = re.findall(r"--require-hashes(?:.|\n)*?-r (?:/build/)?(\S+)", text)
    assert installed == ["tools.txt", *layers(name)]
    assert "/usr/share/sbom/lakeloop.cdx.json" in text
    assert not re.search(r"^COPY .*tools", text.partition("tools.txt ./")[2], re.MULTILINE), (
        "what builds does not stay"
    )


def test_images_have_the_same_bytes_of_what_they_share() -> None:
    found = {chosen.name: layers(chosen.name) for chosen in SETS}
    for layer, sharing in SHARED.items():
        contents = {found[name][f"requirements-{layer}.txt"] for name in sharing}
        assert len(contents) == 1
        assert contents.pop(), "there is something to share"
        stages = {
            stage((IMAGES / name / "Dockerfile").read_text(encoding="utf-8"), layer) for name in sharing
        }
        assert len(stages) == 1, f"stage {layer} differs"
    assert not found["mlflow"].keys() & {f"requirements-{layer}.txt" for layer in SHARED}


def stage(text: str, name: str) -> str:
    """A stage of a Dockerfile, as it stands there."""
    return text.partition(f" AS {name}\n")[2].partition("\nFROM ")[0].partition("\n#")[0].strip()


def test_the_builds_own_tools_are_those_of_the_lock() -> None:
    assert TOOLS.read_text(encoding="utf-8") == build_tools(), "run `make golden`"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert (
        f"uv=={version}"
        in tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["images"]
    )


def test_jars_are_locked_and_named_once() -> None:
    lock = (IMAGES / "spark/jars.lock").read_text(encoding="utf-8").split()
    packages = (IMAGES / "spark/packages.txt").read_text(encoding="utf-8").split()
    expected = {f"{g}_{a}-{v}.jar" for g, a, v in (p.split(":") for p in packages)}
    assert set(lock[1::2]) == expected
    assert all(re.fullmatch(r"[0-9a-f]{64}", d) for d in lock[::2])
