"""Decisions about models of a workbench: what a status means, which runtime, what to go back to, what to remove."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import UserError
from lakeloop.domain.workbench import RuntimeNeeds

Phase = Literal["good", "bad", "wait"]
BUILT = frozenset({"built", "succeeded"})
BUILD_FAILED = frozenset({"build failed", "failed", "timedout", "timed out"})
BUILDING = frozenset({"pending", "queued", "building", "pushing", "unknown"})
DEPLOYED = frozenset({"deployed"})
DEPLOYMENT_FAILED = frozenset({"failed", "stopped", "stopping"})
DEPLOYING = frozenset({"pending", "deploying"})
_HANDLE = re.compile(r"lakeloop ([0-9a-f]{20})\b")
_DISABLED = ("disabled", "deprecated")


class Deployed(Frozen):
    """A deployment of a model, with the build behind it."""

    build_id: str
    deployment_id: str
    handle: str
    status: str
    created_at: str

    @property
    def active(self) -> bool:
        """Whether it answers, or is on its way to."""
        return self.status not in DEPLOYMENT_FAILED


class Build(Frozen):
    """A build of a model; `handle` is empty where somebody else made it."""

    build_id: str
    handle: str
    status: str
    created_at: str


def normalised(status: Any) -> str:
    """A status as the tables here spell it."""
    return str(status or "").strip().lower().removeprefix("engine_")


def build_phase(status: str) -> Phase:
    """Of a build. A status that nobody has told of is waited for."""
    name = normalised(status)
    return "good" if name in BUILT else "bad" if name in BUILD_FAILED else "wait"


def deployment_phase(status: str) -> Phase:
    """Of a deployment."""
    name = normalised(status)
    return "good" if name in DEPLOYED else "bad" if name in DEPLOYMENT_FAILED else "wait"


def version_phase(status: str, error_message: str) -> Phase:
    """Of a registered model version, whose statuses are nowhere listed in full."""
    name = normalised(status)
    if error_message or "fail" in name:
        return "bad"
    pending = any(word in name for word in ("pending", "progress", "creating"))
    return "good" if not pending and any(word in name for word in ("ready", "registered")) else "wait"


def known_status(status: str) -> bool:
    """Whether the tables here hold it; another one is worth a line in the log."""
    known = BUILT | BUILD_FAILED | BUILDING | DEPLOYED | DEPLOYMENT_FAILED | DEPLOYING
    name = normalised(status)
    return name in known or any(word in name for word in ("ready", "registered", "pending", "fail"))


def in_order(moment: Any) -> str:
    """A moment of the API as text that sorts by time.

    As it is written it does not: a fraction of a second has none, three, six or nine digits, and `.` sorts before `Z`.
    """
    text = str(moment or "")
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
    except ValueError:
        return text


def marked(handle: str, detail: str = "") -> str:
    """A comment or note by which a later attempt finds what an earlier one made."""
    return f"lakeloop {handle} {detail}".strip()


def handle_in(text: str | None) -> str:
    """The handle in a comment or note; empty where there is none."""
    found = _HANDLE.search(text or "")
    return found[1] if found else ""


def choose_runtime(runtimes: Iterable[Mapping[str, Any]], needs: RuntimeNeeds) -> str:
    """Image identifier of the newest enabled runtime that has what is needed.

    Raises:
        UserError: none has; lists what there is.
    """
    listed = [dict(runtime) for runtime in runtimes]
    fitting = [r for r in listed if _fits(r, needs)]
    if not fitting:
        seen = sorted({", ".join(str(r.get(k, "")) for k in ("editor", "kernel", "edition")) for r in listed})
        wanted = ", ".join(filter(None, (needs.editor, needs.kernel, needs.edition, needs.version)))
        raise UserError(
            f"no enabled runtime has {wanted}; there are: {'; '.join(seen) or 'none'}",
            where="deployment.cai.runtime",
            fix="name parts of one that is listed, or have one enabled",
        )
    newest = max(
        fitting, key=lambda r: (_numbers(str(r.get("full_version", ""))), str(r["image_identifier"]))
    )
    return str(newest["image_identifier"])


def _fits(runtime: Mapping[str, Any], needs: RuntimeNeeds) -> bool:
    disabled = any(word in normalised(runtime.get("status")) for word in _DISABLED)
    parts = ((needs.editor, "editor"), (needs.kernel, "kernel"), (needs.edition, "edition"))
    contains = all(_contains(str(runtime.get(key) or ""), text) for text, key in parts)
    version = str(runtime.get("full_version") or "").startswith(needs.version)
    return bool(runtime.get("image_identifier")) and not disabled and contains and version


def _contains(text: str, part: str) -> bool:
    """As words: `Python 3.1` is not in `Python 3.11`."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\d)", text, re.IGNORECASE) is not None if part else True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def as_map(environment: Any) -> dict[str, str]:
    """An environment, which the API writes as an object in some messages and as JSON text in others."""
    if isinstance(environment, str):
        try:
            environment = json.loads(environment or "{}")
        except ValueError:
            return {}
    return {str(k): str(v) for k, v in environment.items()} if isinstance(environment, Mapping) else {}


def serving(deployments: Sequence[Deployed]) -> Deployed | None:
    """The one that answers: the newest that is deployed."""
    found = [d for d in deployments if normalised(d.status) in DEPLOYED]
    return max(found, key=lambda d: d.created_at, default=None)


def newest(deployments: Sequence[Deployed]) -> Deployed | None:
    """The one that was made last, whatever became of it."""
    return max(deployments, key=lambda d: d.created_at, default=None)


def to_go_back_to(deployments: Sequence[Deployed], handle: str) -> Deployed | None:
    """What served before `handle` did: the newest deployment of another version that did not fail to start."""
    others = [d for d in deployments if d.handle != handle and normalised(d.status) != "failed"]
    return newest(others)


def to_remove(builds: Sequence[Build], deployments: Sequence[Deployed], keep: int) -> tuple[str, ...]:
    """Ids of lakeloop's builds beyond the `keep` newest; never one that answers, nor the one before it.

    Args:
        builds: of one model.
        deployments: of these builds.
        keep: how many good builds stay. Failed ones do not count and are removed.
    """
    live = serving(deployments)
    before = to_go_back_to(deployments, live.handle) if live else None
    held = {d.build_id for d in deployments if d.active} | ({before.build_id} if before else set())
    own = sorted((b for b in builds if b.handle), key=lambda b: b.created_at, reverse=True)
    good = [b for b in own if build_phase(b.status) == "good"]
    kept = {*held, *[b.build_id for b in good if b.build_id in held]}
    for build in good:
        if len(kept) < keep:
            kept.add(build.build_id)
    return tuple(b.build_id for b in own if b.build_id not in kept and build_phase(b.status) != "wait")
