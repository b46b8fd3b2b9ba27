"""What our service accounts may do and what they did: rights that no run of the tests used have no place in a Role.

python -m scripts.cluster.rights record     # the API server of a kind node keeps an audit log from now on
make test-e2e-long
python -m scripts.cluster.rights compare    # names each right that nobody used, and each call that was refused
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.bring_up import programs_of
from scripts.cluster.programs import Programs, script

OVERLAY: Final = Path(__file__).parents[2] / "manifests/overlays/kind"
ACCOUNT_PREFIX: Final = "system:serviceaccount:"
CONTROLLERS: Final = ("kube-system", "kubeflow", "kserve", "cert-manager")
NAMESPACES: Final = ("kubeflow", "lakeloop")
OURS: Final = "lakeloop-"
CREATED: Final = 201
FORBIDDEN: Final = 403
RESTART_TIMEOUT_SECONDS: Final = 180
_SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_POLICY, _LOG = "/etc/kubernetes/audit-policy.yaml", "/var/log/kubernetes/audit.log"
_AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "users": [f"{ACCOUNT_PREFIX}kubeflow:lakeloop-steps"]},
        {"level": "None", "userGroups": [f"system:serviceaccounts:{one}" for one in CONTROLLERS]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


class Right(NamedTuple):
    """One verb on one kind of object; `name` is empty where any object is meant."""

    group: str
    resource: str
    name: str
    verb: str


class Held(NamedTuple):
    """A right that an account (`namespace:name`) holds in a namespace."""

    account: str
    namespace: str
    right: Right


def rights(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Each right of a Role's rules, or of what a review of an account's rights answers."""
    return {
        Right(group, resource, name, verb)
        for rule in rules
        for group in rule.get("apiGroups") or [""]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }


def declared(documents: Sequence[Mapping[str, Any]]) -> set[Held]:
    """What the Roles say, through their RoleBindings."""
    roles = {_place(one): one for one in documents if one["kind"] == "Role"}
    return {
        Held(f"{subject.get('namespace', place)}:{subject['name']}", place, right)
        for binding in documents
        if binding["kind"] == "RoleBinding"
        for place in [binding["metadata"]["namespace"]]
        for subject in binding["subjects"]
        for right in rights(roles[place, binding["roleRef"]["name"]]["rules"])
    }


def of_overlay(programs: Programs) -> set[Held]:
    """What the manifests that `make kind-up` applies declare."""
    return declared(list(yaml.safe_load_all(programs.kubectl("kustomize", str(OVERLAY)))))


def _place(document: Mapping[str, Any]) -> tuple[str, str]:
    return document["metadata"]["namespace"], document["metadata"]["name"]


def used(held: Held, event: Mapping[str, Any]) -> bool:
    """Whether an audit event is a call that this right allowed.

    Server-side apply of what was not there is a patch that needs the right to create, too.
    Tests make accounts of the same names, with the same rules, in namespaces of their own: these count everywhere.
    """
    target = event.get("objectRef", {})
    kind = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    right, code = held.right, event.get("responseStatus", {}).get("code")
    return (
        _account(event) == held.account.rpartition(":")[2]
        and (target.get("namespace") == held.namespace or target.get("namespace") not in NAMESPACES)
        and (target.get("apiGroup", ""), kind) == (right.group, right.resource)
        and right.verb in {event["verb"], "create" if code == CREATED else ""}
        and right.name in {"", target.get("name")}
        and code != FORBIDDEN
    )


def _account(event: Mapping[str, Any]) -> str:
    return str(event["user"]["username"]).rpartition(":")[2]


def refused(events: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """Calls of our accounts that the API server did not allow, with their number."""
    return Counter(
        (event["user"]["username"].removeprefix(ACCOUNT_PREFIX), f"{event['verb']} {event['requestURI']}")
        for event in events
        if event.get("responseStatus", {}).get("code") == FORBIDDEN
    )


def record(programs: Programs, node: str) -> None:
    """Let the node's API server write an audit log; it restarts once, and a second call changes nothing.

    Raises:
        LakeloopError: it does not answer again within `RESTART_TIMEOUT_SECONDS`.
    """
    server = yaml.safe_load(programs.call("docker", "exec", node, "cat", _SERVER))
    if any(word.startswith("--audit-log-path") for word in server["spec"]["containers"][0]["command"]):
        print("the audit log is kept already")
        return
    programs.call("docker", "exec", node, "mkdir", "-p", str(Path(_LOG).parent))
    _write(programs, node, _POLICY, _AUDIT_POLICY)
    _write(programs, node, _SERVER, audited(server))
    until = time.monotonic() + RESTART_TIMEOUT_SECONDS
    while not _keeps_log(programs, node):
        if time.monotonic() > until:
            raise LakeloopError(
                f"the API server does not answer with an audit log within {RESTART_TIMEOUT_SECONDS} s",
                where=node,
                fix=f"docker exec {node} crictl logs of kube-apiserver",
            )
        time.sleep(2)
    print(f"calls of service accounts are kept in {node}:{_LOG}")


def _keeps_log(programs: Programs, node: str) -> bool:
    return programs.succeeds("docker", "exec", node, "test", "-s", _LOG) and programs.succeeds(
        "kubectl", "--request-timeout=5s", "get", "--raw", "/readyz"
    )


def audited(server: dict[str, Any]) -> dict[str, Any]:
    """The API server's static pod with an audit log."""
    (container,) = server["spec"]["containers"]
    container["command"] += [f"--audit-policy-file={_POLICY}", f"--audit-log-path={_LOG}"]
    for name, path, kind in (("audit-policy", _POLICY, "File"), ("audit-log", str(Path(_LOG).parent), "")):
        mount = {"name": name, "mountPath": path, "readOnly": kind == "File"}
        container["volumeMounts"].append(mount)
        host = {"path": path, "type": kind or "DirectoryOrCreate"}
        server["spec"]["volumes"].append({"name": name, "hostPath": host})
    return server


def _write(programs: Programs, node: str, path: str, document: Mapping[str, Any]) -> None:
    """Beside it first, so that the kubelet sees a whole file."""
    beside = f"/etc/kubernetes/.{Path(path).name}"
    write = f"cat > {beside} && mv {beside} {path}"
    programs.call("docker", "exec", "-i", node, "sh", "-c", write, text=yaml.safe_dump(document))


def compare(programs: Programs, node: str) -> None:
    """Print how often each right was used, and what was refused."""
    events = [event for event in _events(programs, node) if _account(event).startswith(OURS)]
    for one in sorted(of_overlay(programs)):
        times = sum(used(one, event) for event in events)
        what = f"{one.right.group or 'core'}/{one.right.resource} {one.right.name}".strip()
        print(f"{times or 'UNUSED':>7}  {one.account} in {one.namespace}: {one.right.verb} {what}")
    for (account, call), times in sorted(refused(events).items()):
        print(f"REFUSED {times:>4}  {account}: {call}")


def _events(programs: Programs, node: str) -> Iterator[dict[str, Any]]:
    for line in programs.call("docker", "exec", node, "cat", _LOG).splitlines():
        yield json.loads(line)


def main() -> None:
    """See the module."""
    words = {"record": record, "compare": compare}
    if len(sys.argv) != 2 or sys.argv[1] not in words:  # noqa: PLR2004
        sys.exit(__doc__)
    cluster = os.environ.get("CLUSTER", "lakeloop")
    words[sys.argv[1]](programs_of(cluster), f"{cluster}-control-plane")


if __name__ == "__main__":
    script(main)
