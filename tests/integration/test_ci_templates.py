"""The workflow files for GitHub and GitLab: their very commands, run in a repository with a change on a branch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SECONDS = 900
ROWS = "20000"


class Host(BaseHTTPRequestHandler):
    """What the workflows ask of GitHub's and GitLab's API: lists, new and changed comments, uploads."""

    comments: list[dict[str, Any]]
    calls: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self._note()
        self._answer(self.comments if "page=1" in self.path else [])

    def do_POST(self) -> None:
        body = self._note()
        if self.path.endswith("/uploads"):
            name = re.search(rb'filename="(.*?)"', body)
            assert name is not None
            assert b"\x89PNG" in body
            self._answer({"url": f"/uploads/abc/{name.group(1).decode()}"})
            return
        self.comments.append({"id": len(self.comments) + 1, **json.loads(body)})
        self._answer(self.comments[-1])

    def do_PATCH(self) -> None:
        self._change()

    def do_PUT(self) -> None:
        self._change()

    def _change(self) -> None:
        body = json.loads(self._note())
        comment = next(c for c in self.comments if c["id"] == int(self.path.rsplit("/", 1)[1]))
        comment.update(body)
        self._answer(comment)

    def _note(self) -> bytes:
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        self.calls.append((self.command, self.path.partition("?")[0], token))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[tuple[str, type[Host]]]:
    mine = type("Mine", (Host,), {"comments": [{"id": 1, "body": "looks good"}], "calls": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), mine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mine.comments[0]["id"] = 1
    try:
        yield f"http://127.0.0.1:{server.server_port}", mine
    finally:
        server.shutdown()
        server.server_close()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This repository's files on main of a fresh origin; a branch leaves a feature out."""
    work, origin = tmp_path / "work", tmp_path / "origin.git"
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, work / name)
    (work / ".venv").symlink_to(ROOT / ".venv")
    git(tmp_path, "init", "-q", "--bare", str(origin))
    git(work, "init", "-q", "-b", "main")
    (work / ".git/info/exclude").write_text(".venv\nreport\n", encoding="utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "main")
    git(work, "remote", "add", "origin", str(origin))
    git(work, "push", "-q", "origin", "main")
    git(work, "checkout", "-q", "-b", "change")
    use_case = work / "conf/use_cases/loans.yaml"
    text = use_case.read_text(encoding="utf-8")
    assert "  - flag_own_car\n" in text
    use_case.write_text(text.replace("  - flag_own_car\n", ""), encoding="utf-8")
    git(work, "commit", "-q", "-a", "-m", "Without the car")
    git(work, "fetch", "-q", "origin")
    return work


def run(command: str, folder: Path, variables: dict[str, str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LAKELOOP_", "GIT_"))}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def filled(text: str, known: dict[str, str]) -> str:
    """GitHub's expressions replaced by what they stand for."""
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda match: known[match.group(1)], str(text))


@pytest.mark.timeout(SECONDS)
def test_github_posts_one_comment_and_changes_it(
    repository: Path, host: tuple[str, type[Host]], tmp_path: Path
) -> None:
    workflow = yaml.safe_load((repository / "ci/github-actions.yml").read_text(encoding="utf-8"))
    steps, sha = workflow["jobs"]["report"]["steps"], git(repository, "rev-parse", "HEAD")
    known = {
        "github.base_ref": "main",
        "github.event.pull_request.head.sha": sha,
        "github.event.pull_request.number": "12",
        "github.server_url": "https://example.org",
        "github.repository": "someone/lakes",
        "github.token": "t0ken",
    }
    summary, given = (
        tmp_path / "summary.md",
        {"GITHUB_API_URL": host[0], "GITHUB_REPOSITORY": "someone/lakes"},
    )
    commands = [step for step in steps if "run" in step and step["name"] != "Set up"]
    for step in [*commands, commands[-1]]:
        told = {**workflow["env"], **step.get("env", {})}
        variables = {k: filled(v, known) for k, v in told.items()} | given
        run(step["run"], repository, variables | {"ROWS": ROWS, "GITHUB_STEP_SUMMARY": str(summary)})
    comments, calls = host[1].comments, host[1].calls
    assert len(comments) == 2
    body = comments[1]["body"]
    assert body.startswith("<!-- lakeloop report: loans -->")
    assert "Gone: `flag_own_car`" in body
    assert "origin/main (v1) | difference" in body
    assert ("PATCH", "/repos/someone/lakes/issues/comments/2", "Bearer t0ken") in calls
    link = f"https://example.org/someone/lakes/raw/lakeloop-reports/{sha}/roc.png"
    assert link in body
    git(repository, "fetch", "-q", "origin", "lakeloop-reports")
    assert f"{sha}/roc.png" in git(repository, "ls-tree", "-r", "--name-only", "FETCH_HEAD").splitlines()
    assert summary.read_text(encoding="utf-8") == (repository / "report/report.md").read_text(
        encoding="utf-8"
    )
    assert git(repository, "worktree", "list").count("\n") == 0
    kept = next(step for step in steps if step["name"] == "Keep the report")["with"]["path"].split()
    assert all(list(repository.glob(pattern)) for pattern in kept)


@pytest.mark.timeout(SECONDS)
def test_gitlab_posts_one_note_with_its_plots(repository: Path, host: tuple[str, type[Host]]) -> None:
    text = (repository / "ci/gitlab-ci.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["model-report"]
    variables = {**job["variables"], "ROWS": ROWS}
    variables |= {
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_IID": "3",
        "CI_PROJECT_ID": "77",
        "CI_API_V4_URL": host[0],
        "LAKELOOP_REPORT_TOKEN": "t0ken",
    }
    for command in job["script"]:
        run(command, repository, variables)
    body = host[1].comments[1]["body"]
    assert "![ROC](/uploads/abc/roc.png)" in body
    assert "plots/" not in body
    assert "Gone: `flag_own_car`" in body
    assert ("POST", "/projects/77/merge_requests/3/notes", "t0ken") in host[1].calls
    assert all((repository / path).exists() for path in job["artifacts"]["paths"])


def test_a_token_or_a_report_that_is_missing_is_said(tmp_path: Path, host: tuple[str, type[Host]]) -> None:
    script = [str(ROOT / ".venv/bin/python"), str(ROOT / "ci/post_report.py"), "github", str(tmp_path), "1"]
    known = {"PATH": os.environ["PATH"], "GITHUB_API_URL": host[0], "GITHUB_REPOSITORY": "a/b"}
    done = subprocess.run(script, env=known, capture_output=True, text=True, check=False)
    assert (done.returncode, "GITHUB_TOKEN is not set" in done.stderr) == (1, True)
    done = subprocess.run(
        script, env=known | {"GITHUB_TOKEN": "x"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "report_change.sh first" in done.stderr) == (1, True)
    assert host[1].calls == []
