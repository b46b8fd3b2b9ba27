"""The programs that bring a cluster up, each call with a limit and one clear error."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from lakeloop.domain.errors import LakeloopError, UserError

CALL_TIMEOUT_SECONDS: Final = 120
_BUILDX_SINCE: Final = 23
_FROM: Final = {
    "docker": "install Docker Engine, or name another client in DOCKER",
    "kind": "install kind 0.27 or newer, or set LAKELOOP_CLUSTER_UP to a command that brings a cluster up",
    "kubectl": "install kubectl, of the cluster's minor version or one beside it",
}


@dataclass(frozen=True)
class Programs:
    """docker, kind and kubectl, with the environment that leads to the cluster.

    Attributes:
        environment: variables over this process' own: PATH and KUBECONFIG.
    """

    environment: Mapping[str, str] = field(default_factory=dict)

    def call(
        self,
        program: str,
        *words: str,
        text: str | None = None,
        seconds: float = CALL_TIMEOUT_SECONDS,
        show: bool = False,
    ) -> str:
        """Standard output of a program that ended well; with `show`, it goes to the terminal instead.

        Raises:
            UserError: the program is not installed.
            LakeloopError: it failed, or took longer than `seconds`; with its last lines.
        """
        path = self.path(program)
        try:
            done = subprocess.run(
                [path, *words],
                input=text,
                env=self.full_environment,
                stdout=None if show else subprocess.PIPE,
                stderr=None if show else subprocess.PIPE,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LakeloopError(
                f"no end after {seconds:.0f} s", where=f"{program} {words[0]}", fix="look at the cluster"
            ) from error
        if done.returncode:
            said = (done.stderr or done.stdout or "").strip().splitlines()
            raise LakeloopError(
                "\n".join(said[-15:]) or f"exit code {done.returncode}",
                where=f"{program} {' '.join(words[:3])}",
                fix="see the lines above",
            )
        return done.stdout or ""

    def kubectl(self, *words: str, text: str | None = None, seconds: float = CALL_TIMEOUT_SECONDS) -> str:
        """`call` of kubectl."""
        return self.call("kubectl", *words, text=text, seconds=seconds)

    def succeeds(self, program: str, *words: str) -> bool:
        """Whether a program ends well."""
        try:
            self.call(program, *words)
        except UserError:
            raise
        except LakeloopError:
            return False
        return True

    @property
    def full_environment(self) -> dict[str, str]:
        """This process' variables under the cluster's own."""
        return {**os.environ, **self.environment}

    def path(self, program: str) -> str:
        """Where a program is.

        Raises:
            UserError: it is not installed.
        """
        name = os.environ.get("DOCKER", "docker") if program == "docker" else program
        path = self.full_environment.get("PATH", os.defpath)
        found = docker_client(path) if name == "docker" else shutil.which(name, path=path)
        if found is None:
            raise UserError(
                f"{name} is not installed",
                where="PATH",
                fix=_FROM.get(program, f"install {program}, or mend the path"),
            )
        return found


def script(main: Callable[[], None]) -> None:
    """Run a script of this folder: an error that it knows is told in one line, and is the process' exit code."""
    try:
        main()
    except LakeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def docker_client(path: str) -> str | None:
    """The first Docker client that can build with BuildKit; else the first; None where there is none.

    Several may be installed, and one without its part for builds is good for nothing but asking.
    """
    places = dict.fromkeys(folder for folder in path.split(os.pathsep) if folder)
    found = [client for folder in places if (client := shutil.which("docker", path=folder))]
    return next((client for client in found if _builds(client)), found[0] if found else None)


@cache
def _builds(client: str) -> bool:
    """Clients before 23 bring BuildKit along; from then on it is the plugin buildx."""
    version = re.search(r"version (\d+)\.", _said(client, "--version"))
    if version and int(version[1]) < _BUILDX_SINCE:
        return True
    return bool(_said(client, "buildx", "version"))


def _said(client: str, *words: str) -> str:
    try:
        done = subprocess.run([client, *words], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout
