"""Posts a report as the comment of a pull or merge request: the one comment, changed by each push.

    python ci/post_report.py github FOLDER NUMBER      # GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN
    python ci/post_report.py gitlab FOLDER NUMBER      # CI_API_V4_URL, CI_PROJECT_ID, LAKELOOP_REPORT_TOKEN

The variables are the CI system's own. Needs nothing but Python. GitLab's plots are uploaded with the comment.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60
PAGE = 100
MOST_PAGES = 50
MARK = "<!-- lakeloop report:"
LONGEST = 60_000  # characters; GitHub takes 65,536


class Api:
    """JSON over HTTP with the CI system's token."""

    def __init__(self, base: str, header: tuple[str, str]) -> None:
        self._base, self._header = base.rstrip("/"), header

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A JSON call."""
        content = None if body is None else json.dumps(body).encode()
        return self.send(method, path, content, "application/json")

    def send(self, method: str, path: str, content: bytes | None, kind: str) -> Any:
        """A call with any content; exits with what the server says where it refuses."""
        name, value = self._header
        headers = {"Content-Type": kind, "Accept": "application/json", name: value, "User-Agent": "lakeloop"}
        request = urllib.request.Request(  # noqa: S310 - the CI system's own address
            f"{self._base}{path}", content, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            sys.exit(f"error: {method} {path}: {error.code} {said} -> see the token's rights")
        except (urllib.error.URLError, TimeoutError) as error:
            sys.exit(f"error: {method} {path}: {error} -> run the job again")

    def pages(self, path: str) -> Iterator[Any]:
        """All items of a list."""
        for page in range(1, MOST_PAGES + 1):
            items = self.call("GET", f"{path}?per_page={PAGE}&page={page}")
            yield from items
            if len(items) < PAGE:
                return


def post(api: Api, comments: str, change: tuple[str, str], text: str) -> None:
    """Change the comment that an earlier push left for the same use case, or write the first one.

    Args:
        api: of the CI system.
        comments: path of the comments.
        change: method, and path of one comment without its id.
        text: its first line tells whose it is.
    """
    mark = text.splitlines()[0]
    if not mark.startswith(MARK):
        sys.exit("error: report.md is no report of lakeloop -> write it by lakeloop report")
    mine = [c["id"] for c in api.pages(comments) if str(c.get("body", "")).startswith(mark)]
    cut = (
        text if len(text) <= LONGEST else text[:LONGEST] + "\n\n(cut: the whole report is in the artifacts)\n"
    )
    if mine:
        api.call(change[0], f"{change[1]}/{mine[0]}", {"body": cut})
    else:
        api.call("POST", comments, {"body": cut})


def uploaded(api: Api, project: str, plot: Path) -> str:
    """Where GitLab keeps a file that belongs to a comment."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{plot.name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    content = head.encode() + plot.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    return str(api.send("POST", f"/projects/{project}/uploads", content, kind)["url"])


def on_github(folder: Path, number: str) -> None:
    """As an issue comment of the pull request."""
    api = Api(_variable("GITHUB_API_URL"), ("Authorization", f"Bearer {_variable('GITHUB_TOKEN')}"))
    issues = f"/repos/{_variable('GITHUB_REPOSITORY')}/issues"
    post(api, f"{issues}/{number}/comments", ("PATCH", f"{issues}/comments"), _text(folder))


def on_gitlab(folder: Path, number: str) -> None:
    """As a note of the merge request."""
    api = Api(_variable("CI_API_V4_URL"), ("PRIVATE-TOKEN", _variable("LAKELOOP_REPORT_TOKEN")))
    project, text = _variable("CI_PROJECT_ID"), _text(folder)
    for plot in sorted((folder / "plots").glob("*.png")):
        text = text.replace(f"](plots/{plot.name})", f"]({uploaded(api, project, plot)})")
    notes = f"/projects/{project}/merge_requests/{number}/notes"
    post(api, notes, ("PUT", notes), text)


def _text(folder: Path) -> str:
    try:
        return (folder / "report.md").read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"error: {error} -> run ci/report_change.sh first")


def _variable(name: str) -> str:
    return os.environ.get(name) or sys.exit(f"error: {name} is not set -> run it in the CI system's job")


def main() -> None:
    """Post it."""
    places = {"github": on_github, "gitlab": on_gitlab}
    if len(sys.argv) != 4 or sys.argv[1] not in places or not sys.argv[3].isdecimal():  # noqa: PLR2004
        sys.exit(__doc__)
    places[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])


if __name__ == "__main__":
    main()
