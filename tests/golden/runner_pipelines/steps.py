"""Container components that are small programs of their own: they run anywhere that has a Python."""

from typing import List, Optional  # noqa: UP035 - KFP reads the annotations

from kfp import dsl
from kfp.dsl import ConcatPlaceholder, ContainerSpec, IfPresentPlaceholder

IMAGE = "python:3.11-slim-bookworm"
WRITE = """
import json, os, pathlib, sys
def write(path, text):
    pathlib.Path(path).write_text(text)
    print("wrote", pathlib.Path(path).name, text.replace(chr(10), " "), flush=True)
trace = os.environ.get("TRACE")
def note(text):
    if trace:
        with open(trace, "a") as stream: stream.write(text + chr(10))
"""


def program(body: str, *arguments: object) -> ContainerSpec:
    return ContainerSpec(image=IMAGE, command=["python", "-c", WRITE + body], args=list(arguments))


@dsl.container_component
def say(text: str, said: dsl.OutputPath(str)) -> ContainerSpec:
    """Give the text back."""
    return program("note(sys.argv[1]); write(sys.argv[2], sys.argv[1])", text, said)


@dsl.container_component
def join(texts: list, joined: dsl.OutputPath(str)) -> ContainerSpec:
    """Join a list to one text."""
    return program("write(sys.argv[2], '+'.join(map(str, json.loads(sys.argv[1]))))", texts, joined)


@dsl.container_component
def measure(  # noqa: PLR0913, PLR0917 - one for each type
    whole: dsl.OutputPath(int),
    share: dsl.OutputPath(float),
    word: dsl.OutputPath(str),
    right: dsl.OutputPath(bool),
    items: dsl.OutputPath(list),
    table: dsl.OutputPath(dict),
) -> ContainerSpec:
    """One output of each type."""
    body = """
for path, text in zip(sys.argv[1:], ["3", "2.5", "three", "True", "[1, 2.5]", '{"a": {"b": 1}}']):
    write(path, text)
"""
    return program(body, whole, share, word, right, items, table)


@dsl.container_component
def show_types(  # noqa: PLR0913, PLR0917 - one for each type
    whole: int, share: float, right: bool, items: list, table: dict, word: str, shown: dsl.OutputPath(str)
) -> ContainerSpec:
    """What a program receives for each type."""
    return program(
        "write(sys.argv[-1], '|'.join(sys.argv[1:-1]))", whole, share, right, items, table, word, shown
    )


@dsl.container_component
def make_data(text: str, data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Artifact]) -> ContainerSpec:
    """A file with metadata, and a folder."""
    body = """
note("make " + sys.argv[1])
told = json.loads(sys.argv[4])
write(sys.argv[2], sys.argv[1])
pathlib.Path(sys.argv[3]).mkdir()
write(sys.argv[3] + "/part", sys.argv[1].upper())
artifact = told["outputs"]["artifacts"]["data"]["artifacts"][0]
said = {"artifacts": {"data": {"artifacts": [{**artifact, "metadata": {"length": len(sys.argv[1])}}]}}}
output_file = pathlib.Path(told["outputs"]["outputFile"])
output_file.parent.mkdir(parents=True, exist_ok=True)  # KFP's launcher leaves that to the program
output_file.write_text(json.dumps(said))
"""
    return program(body, text, data.path, folder.path, "{{$}}")


@dsl.container_component
def read_data(
    data: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Artifact], found: dsl.OutputPath(str)
) -> ContainerSpec:
    """Content of both, and the metadata."""
    body = """
note("read")
text = pathlib.Path(sys.argv[1]).read_text() + pathlib.Path(sys.argv[2], "part").read_text()
write(sys.argv[4], text + sys.argv[3])
"""
    return program(body, data.path, folder.path, data.metadata["length"], found)


@dsl.container_component
def read_file(data: dsl.Input[dsl.Dataset], found: dsl.OutputPath(str)) -> ContainerSpec:
    """A file's text, with the metadata as JSON."""
    body = "write(sys.argv[3], pathlib.Path(sys.argv[1]).read_text() + sys.argv[2])"
    return program(body, data.path, data.metadata, found)


@dsl.container_component
def read_all(files: dsl.Input[List[dsl.Dataset]], found: dsl.OutputPath(str)) -> ContainerSpec:  # noqa: UP006
    """The text of every collected file."""
    body = """
files = json.loads(sys.argv[1])["inputs"]["artifacts"]["files"]["artifacts"]
write(sys.argv[2], ",".join(pathlib.Path(one["uri"]).read_text() for one in files))
"""
    return program(body, "{{$}}", found)


@dsl.container_component
def fail(code: int, text: str = "nothing works") -> ContainerSpec:
    """Leave with an exit code after an error line."""
    return program("note('fail'); print('error: ' + sys.argv[2]); sys.exit(int(sys.argv[1]))", code, text)


@dsl.container_component
def quiet_fail(code: int) -> ContainerSpec:
    """Leave with an exit code after many lines and no error line."""
    return program("[print('line', k) for k in range(40)]; sys.exit(int(sys.argv[1]))", code)


@dsl.container_component
def fail_until(attempt: int, counter: str, said: dsl.OutputPath(str)) -> ContainerSpec:
    """Fail until the attempt; the counter's file remembers."""
    body = """
path = pathlib.Path(sys.argv[2])
seen = int(path.read_text()) + 1 if path.exists() else 1
write(path, str(seen))
write(sys.argv[3], "half")
if seen < int(sys.argv[1]): sys.exit(1)
write(sys.argv[3], "attempt %d" % seen)
"""
    return program(body, attempt, counter, said)


@dsl.container_component
def wait_for(path: str, seconds: float, said: dsl.OutputPath(str)) -> ContainerSpec:
    """Wait until a file is there; announces itself in PATH.here."""
    body = """
import time
note("wait"); write(sys.argv[1] + ".here", str(os.getpid()))
print("::progress::waiting", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end and not os.path.exists(sys.argv[1]): time.sleep(0.02)
sys.exit(1) if not os.path.exists(sys.argv[1]) else write(sys.argv[3], "seen")
"""
    return program(body, path, seconds, said)


@dsl.container_component
def meet(mine: str, other: str, said: dsl.OutputPath(str)) -> ContainerSpec:
    """Leave a file and wait for another's: ends well only when both run at once."""
    body = """
import time
write(sys.argv[1], ""); end = time.monotonic() + 10
while time.monotonic() < end and not os.path.exists(sys.argv[2]): time.sleep(0.02)
sys.exit(1) if not os.path.exists(sys.argv[2]) else write(sys.argv[3], "met")
"""
    return program(body, mine, other, said)


@dsl.container_component
def stubborn(seconds: float) -> ContainerSpec:
    """Start a child, ignore SIGTERM, and sleep; the child's id goes to TRACE."""
    body = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
note(str(child.pid)); note(str(os.getpid()))
time.sleep(float(sys.argv[1]))
"""
    return program(body, seconds)


@dsl.container_component
def on_exit(status: dsl.PipelineTaskFinalStatus, said: dsl.OutputPath(str)) -> ContainerSpec:
    """Repeat the final status."""
    return program("note('exit'); write(sys.argv[2], sys.argv[1])", "{{$.inputs.parameters['status']}}", said)


@dsl.container_component
def environment(names: list, values: dsl.OutputPath(dict)) -> ContainerSpec:
    """Values of the named variables."""
    body = "write(sys.argv[2], json.dumps({name: os.environ.get(name) for name in json.loads(sys.argv[1])}))"
    return program(body, names, values)


@dsl.container_component
def placeholders(
    number: float,
    mapping: dict,
    shown: dsl.OutputPath(list),
    given: Optional[str] = None,  # noqa: UP045
    absent: Optional[str] = None,  # noqa: UP045
) -> ContainerSpec:
    """Every structured placeholder, and the run's names."""
    arguments = [
        ConcatPlaceholder(["--number=", number, "/", IfPresentPlaceholder("given", then=given, else_="no")]),
        IfPresentPlaceholder("given", then=["--given", given], else_=["--none"]),
        IfPresentPlaceholder("absent", then=["--absent", absent], else_=["--no-absent", "x"]),
        mapping,
        "{{$.json_escape[1]}}",
        "{{$.inputs.parameters['mapping'].json_escape[1]}}",
        dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        dsl.PIPELINE_JOB_NAME_PLACEHOLDER + "/" + dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
        dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        dsl.PIPELINE_TASK_ID_PLACEHOLDER,
        dsl.PIPELINE_ROOT_PLACEHOLDER,
        dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
    ]
    return program("write(sys.argv[1], json.dumps(sys.argv[2:]))", shown, *arguments)


@dsl.container_component
def half_done(said: dsl.OutputPath(str), number: dsl.OutputPath(int)) -> ContainerSpec:
    """Write one of two declared outputs."""
    return program("write(sys.argv[1], 'here')", said, number)


@dsl.container_component
def by_executor_output(number: dsl.OutputPath(int)) -> ContainerSpec:
    """Give a parameter through executor_output.json instead of its file."""
    return program(
        "write(sys.argv[1], json.dumps({'parameterValues': {'number': 7}}))", "{{$.outputs.output_file}}"
    )
