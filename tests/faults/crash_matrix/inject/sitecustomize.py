"""Faults inside a step's own process: imported by every Python that finds this folder on PYTHONPATH.

LAKELOOP_TEST_POINTS  JSON list of `[step, "module:attribute.path", nth call]`: what to wrap; a step or a command.
LAKELOOP_TEST_KILL    `INDEX:before` or `INDEX:after`: SIGKILL the step and its runner there, as a power cut would;
                      with `:step` behind it only the step, and only once.
LAKELOOP_TEST_TRACE   file that gets the index of each point that was passed.
LAKELOOP_TEST_FILE_BYTES     `STEP=BYTES`: no file of that step may grow beyond, once: as if the disk were full.
LAKELOOP_TEST_CLOCK_SECONDS  `SECONDS`: how far off the clock of every step is.

Read at each call, not at the import: a step may be forked from an interpreter that has imported everything.
"""

from __future__ import annotations

import collections
import functools
import importlib.abc
import importlib.machinery
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

POINTS = json.loads(os.environ.get("LAKELOOP_TEST_POINTS", "[]"))
CALLS: collections.Counter[str] = collections.Counter()
EDGE = "lakeloop.runtime.step:_step"  # each step comes by here first


def step() -> str:
    """The step of this process, or the command where it is none."""
    if sys.argv and sys.argv[0].endswith("__main__.py"):
        return Path(sys.argv[0]).parent.name
    return sys.argv[1] if len(sys.argv) > 1 else ""


def reached(target: str, side: str) -> None:
    here = [step(), target, CALLS[target]]
    if target == EDGE and side == "before":
        prepare()
    for index in (i for i, point in enumerate(POINTS) if point == here):
        if side == "after" and (trace := os.environ.get("LAKELOOP_TEST_TRACE")):
            with Path(trace).open("a", encoding="utf-8") as file:
                file.write(f"{index}\n")
        wanted = os.environ.get("LAKELOOP_TEST_KILL", "").split(":")
        if wanted[:2] == [str(index), side]:
            cut(only_step=wanted[2:] == ["step"])


def cut(*, only_step: bool) -> None:
    """The step's whole group, so that its JVM dies too; servers have sessions of their own and stay."""
    if only_step:
        if not once("killed"):
            return
    else:
        os.kill(int(os.environ["LAKELOOP_TEST_RUNNER"]), signal.SIGKILL)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def once(what: str) -> bool:
    marker = Path(os.environ["LAKELOOP_TEST_ONCE"]) / what
    if marker.exists():
        return False
    marker.touch()
    return True


def prepare() -> None:
    name, _, size = os.environ.get("LAKELOOP_TEST_FILE_BYTES", "").partition("=")
    if size and name == step() and once("full"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    offset = float(os.environ.get("LAKELOOP_TEST_CLOCK_SECONDS", "0"))
    if offset:
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() + offset
        time.time_ns = lambda: now_ns() + int(offset * 1e9)


def wrapped(function: Callable[..., Any], target: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        CALLS[target] += 1
        reached(target, "before")
        answer = function(*arguments, **options)
        reached(target, "after")
        return answer

    return call


def wrap(module: ModuleType, path: str) -> None:
    holder: Any = module
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    setattr(holder, name, wrapped(getattr(holder, name), f"{module.__name__}:{path}"))


class WrappingLoader(importlib.abc.Loader):
    def __init__(self, loader: Any, paths: list[str]) -> None:
        self.loader, self.paths = loader, paths

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        for path in self.paths:
            wrap(module, path)


class WrappingFinder(importlib.abc.MetaPathFinder):
    def __init__(self, targets: Iterable[str]) -> None:
        self.paths: dict[str, list[str]] = collections.defaultdict(list)
        for module, _, path in (target.partition(":") for target in targets):
            self.paths[module].append(path)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self.paths:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = WrappingLoader(spec.loader, self.paths[name])
        return spec


if POINTS:
    sys.meta_path.insert(0, WrappingFinder(sorted({EDGE, *(target for _, target, _ in POINTS)})))
