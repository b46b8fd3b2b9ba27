"""Run a compiled KFP pipeline on this machine: each container spec's command becomes a process.

result = run_pipeline(Path("pipeline.yaml"), {"rows": 100}, RunOptions(runs_dir=..., project_root=...))
"""

from lakeloop.runners.process.options import EntryPoint, RunOptions, RunResult, TaskResult
from lakeloop.runners.process.progress import PlainListener, default_listener
from lakeloop.runners.process.running import run_pipeline

__all__ = [
    "EntryPoint",
    "PlainListener",
    "RunOptions",
    "RunResult",
    "TaskResult",
    "default_listener",
    "run_pipeline",
]
