"""A cluster with Kubeflow Pipelines and KServe: by a command of the user's, or by kind and the upstream manifests.

Versions and places can be overridden by the environment; see `VERSIONS`.
"""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lakeloop.domain.errors import LakeloopError, UserError
from scripts.cluster.programs import Programs

ROOT: Final = Path(__file__).parents[2]
UP_VARIABLE: Final = "LAKELOOP_CLUSTER_UP"
BESIDE: Final = ROOT.parent / "shared/kit/up"
UP_TIMEOUT_SECONDS: Final = 1800
APPLY_TIMEOUT_SECONDS: Final = 300
VERSIONS: Final = {
    "NODE_IMAGE": "kindest/node:v1.34.0",
    "KFP_VERSION": "2.14.3",
    "KSERVE_VERSION": "v0.19.0",
    "CERT_MANAGER_VERSION": "v1.18.2",
}
_KFP: Final = "github.com/kubeflow/pipelines/manifests/kustomize"
_RELEASES: Final = "https://github.com/{project}/releases/download/{version}/{file}"
Tell = Callable[[str], None]


def command() -> list[str] | None:
    """The user's command that brings a cluster up, if there is one.

    Its contract: run plainly, it brings the cluster up, and again changes nothing; with `--kubeconfig` and with
    `--path` it only prints the kubeconfig file, and the folder of kubectl and kind.
    """
    named = os.environ.get(UP_VARIABLE)
    if named is not None:
        return shlex.split(named) or None
    return [str(BESIDE)] if BESIDE.is_file() and os.access(BESIDE, os.X_OK) else None


def programs_of(cluster: str) -> Programs:
    """Programs that reach the cluster, whether it is up or not."""
    up = command()
    if up is None:
        return Programs({"KUBECONFIG": str(_kubeconfig(cluster))})
    path = os.environ.get("PATH", os.defpath)
    return Programs(
        {"KUBECONFIG": _printed(up, "--kubeconfig"), "PATH": f"{_printed(up, '--path')}{os.pathsep}{path}"}
    )


def bring_up(cluster: str, tell: Tell) -> Programs:
    """Bring the cluster up unless it answers.

    Raises:
        UserError: a program is missing.
        LakeloopError: it does not come up.
    """
    up = command()
    if up is None:
        programs = programs_of(cluster)
        _with_kind(programs, cluster, tell)
        return programs
    tell(f"bringing up the cluster: {shlex.join(up)}")
    try:
        done = subprocess.run(up, timeout=UP_TIMEOUT_SECONDS, check=False)
    except OSError as error:
        raise UserError(
            f"cannot be run: {error}", where=UP_VARIABLE, fix="name a command, or unset it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LakeloopError(f"no end after {UP_TIMEOUT_SECONDS} s", where=shlex.join(up)) from error
    if done.returncode:
        raise LakeloopError(f"exit code {done.returncode}", where=shlex.join(up), fix="see the lines above")
    return programs_of(cluster)


def _with_kind(programs: Programs, cluster: str, tell: Tell) -> None:
    versions = {name: os.environ.get(name, value) for name, value in VERSIONS.items()}
    if cluster not in programs.call("kind", "get", "clusters").split():
        tell(f"creating kind cluster {cluster} of {versions['NODE_IMAGE']}")
        kubeconfig = Path(programs.environment["KUBECONFIG"])
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        words = ("--name", cluster, "--image", versions["NODE_IMAGE"], "--kubeconfig", str(kubeconfig))
        programs.call("kind", "create", "cluster", *words, "--wait", "240s", seconds=UP_TIMEOUT_SECONDS)
    _pipelines(programs, versions["KFP_VERSION"], tell)
    _kserve(programs, versions, tell)


def _pipelines(programs: Programs, version: str, tell: Tell) -> None:
    if programs.succeeds("kubectl", "--namespace", "kubeflow", "get", "deployment", "ml-pipeline"):
        return
    tell(f"installing Kubeflow Pipelines {version}")
    for folder in ("cluster-scoped-resources", "env/platform-agnostic"):
        place = f"{_KFP}/{folder}?ref={version}"
        programs.kubectl("apply", "--server-side", "--kustomize", place, seconds=APPLY_TIMEOUT_SECONDS)
        if folder == "cluster-scoped-resources":
            crd = "crd/applications.app.k8s.io"
            programs.kubectl("wait", "--for=condition=established", "--timeout=60s", crd)


def _kserve(programs: Programs, versions: dict[str, str], tell: Tell) -> None:
    namespace = "kserve"
    if programs.succeeds(
        "kubectl", "--namespace", namespace, "get", "deployment", "kserve-controller-manager"
    ):
        return
    version = versions["CERT_MANAGER_VERSION"]
    tell(f"installing cert-manager {version} and KServe {versions['KSERVE_VERSION']}")
    _apply(
        programs,
        _RELEASES.format(project="cert-manager/cert-manager", version=version, file="cert-manager.yaml"),
    )
    programs.kubectl(
        *("--namespace", "cert-manager", "wait", "--for=condition=Available", "--timeout=240s"),
        *("deployment", "--all"),
        seconds=APPLY_TIMEOUT_SECONDS,
    )
    _apply(
        programs,
        _RELEASES.format(project="kserve/kserve", version=versions["KSERVE_VERSION"], file="kserve.yaml"),
    )
    patch = '{"data": {"deploy": "{\\"defaultDeploymentMode\\": \\"Standard\\"}"}}'
    config = ("patch", "configmap", "inferenceservice-config", "--type=merge", "--patch", patch)
    programs.kubectl("--namespace", namespace, *config)


def _apply(programs: Programs, place: str) -> None:
    words = ("apply", "--server-side", "--force-conflicts", "--filename", place)
    programs.kubectl(*words, seconds=APPLY_TIMEOUT_SECONDS)


def _printed(up: list[str], option: str) -> str:
    try:
        done = subprocess.run([*up, option], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(
            f"cannot be asked {option}: {error}", where=shlex.join(up), fix=UP_VARIABLE
        ) from error
    if done.returncode or not done.stdout.strip():
        raise UserError(
            f"does not print anything for {option}",
            where=shlex.join(up),
            fix=f"a command in {UP_VARIABLE} prints the kubeconfig's path, and the folder of kubectl and kind",
        )
    return done.stdout.strip()


def _kubeconfig(cluster: str) -> Path:
    named = os.environ.get("KUBECONFIG")
    return Path(named) if named else Path.home() / ".kube" / f"lakeloop-{cluster}"
