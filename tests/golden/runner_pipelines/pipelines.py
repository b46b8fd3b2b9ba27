"""Small pipelines, one for each thing the process runner has to honour, and one it must refuse.

`python -m tests.golden.runner_pipelines.pipelines` compiles them anew.
"""

import sys
from pathlib import Path

from kfp import compiler, dsl, kubernetes

from tests.golden.runner_pipelines import steps

HERE = Path(__file__).parent


@dsl.pipeline(name="types")
def types(big: int = 3051729675574597004) -> str:
    made = steps.measure()
    shown = steps.show_types(
        whole=made.outputs["whole"],
        share=made.outputs["share"],
        right=made.outputs["right"],
        items=made.outputs["items"],
        table=made.outputs["table"],
        word=made.outputs["word"],
    )
    steps.show_types(whole=big, share=1.0, right=False, items=[1, "a"], table={"k": 3}, word="w")
    return shown.outputs["shown"]


@dsl.pipeline(name="artifacts")
def artifacts(text: str = "abc") -> str:
    made = steps.make_data(text=text)
    return steps.read_data(data=made.outputs["data"], folder=made.outputs["folder"]).outputs["found"]


@dsl.pipeline(name="branches")
def branches(score: float, count: int, word: str = "x", on: bool = True) -> str:
    with dsl.If(score > 1):
        high = steps.say(text="high")
    with dsl.Elif(count >= 2.5):
        many = steps.say(text=f"many {count}")
    with dsl.Else():
        low = steps.say(text="low")
    with dsl.If(word != "q", name="word-is-not-q"):
        steps.say(text="not q")
    with dsl.If(on == True):  # noqa: E712 - KFP builds the condition from the comparison
        steps.say(text="on")
    chosen = dsl.OneOf(high.outputs["said"], many.outputs["said"], low.outputs["said"])
    return steps.say(text=chosen).outputs["said"]


@dsl.pipeline(name="named-output")
def named_output() -> None:
    made = steps.measure()
    with dsl.If(made.outputs["share"] > 2, name="share"):
        steps.say(text="share fires")
        with dsl.If(made.outputs["word"] == "four", name="inner"):
            steps.say(text="never")
    with dsl.If(made.outputs["whole"] == 3, name="whole"):
        steps.say(text="whole fires")
    with dsl.If(made.outputs["right"] == False, name="wrong"):  # noqa: E712
        steps.say(text="never")


@dsl.pipeline(name="loop")
def loop(words: list = ["b", "a", "c"]) -> str:  # noqa: B006 - KFP copies defaults
    with dsl.ParallelFor(words, parallelism=2) as word:
        said = steps.say(text=word)
        twice = steps.say(text=f"{word}{said.outputs['said']}")
        with dsl.If(word == "a"):
            steps.say(text="found a")
    return steps.join(texts=dsl.Collected(twice.outputs["said"])).outputs["joined"]


@dsl.pipeline(name="loop-items")
def loop_items() -> None:
    with dsl.ParallelFor([{"label": "x", "size": "1"}, {"label": "y", "size": "2"}]) as item:
        made = steps.make_data(text=item.label)
        steps.say(text=item.size)
    steps.read_all(files=dsl.Collected(made.outputs["data"]))


@dsl.pipeline(name="loop-over-output")
def loop_over_output() -> None:
    made = steps.measure()
    with dsl.ParallelFor(made.outputs["items"]) as item:
        steps.say(text=f"item {item}")


@dsl.pipeline(name="unwired")
def unwired() -> None:
    # KFP 2.17 compiles this to references that lead nowhere; a cluster finds out in the middle of the run.
    with dsl.ParallelFor([{"label": "x", "size": "1"}]) as item:
        steps.say(text=f"{item.label}{item.size}")


@dsl.pipeline(name="inner")
def inner(text: str = "default", extra: str = "e") -> str:
    first = steps.say(text=text)
    return steps.say(text=f"{first.outputs['said']}-{extra}").outputs["said"]


@dsl.pipeline(name="nested")
def nested(text: str) -> str:
    one = inner(text=text)
    two = inner(extra=one.output)
    return two.output


@dsl.pipeline(name="exit-handler")
def exit_handler(code: int) -> None:
    with dsl.ExitHandler(steps.on_exit(), name="guarded"):
        first = steps.say(text="first")
        broken = steps.fail(code=code).after(first)
        steps.say(text="after").after(broken)


@dsl.pipeline(name="exit-handler-good")
def exit_handler_good() -> None:
    with dsl.ExitHandler(steps.on_exit()):
        steps.say(text="fine")


@dsl.pipeline(name="ignore-upstream")
def ignore_upstream() -> None:
    broken = steps.fail(code=1)
    told = steps.say(text="still told").after(broken).ignore_upstream_failure()
    steps.say(text="and on").after(told)


@dsl.pipeline(name="import-data")
def import_data(note: str = "mine") -> str:
    data = dsl.importer(
        artifact_uri="imported/data.txt", artifact_class=dsl.Dataset, reimport=False, metadata={"note": note}
    )
    return steps.read_file(data=data.output).outputs["found"]


@dsl.pipeline(name="retries")
def retries(counter: str, attempt: int) -> str:
    task = steps.fail_until(attempt=attempt, counter=counter)
    task.set_retry(num_retries=2, backoff_duration="0s", backoff_factor=2)
    return task.outputs["said"]


@dsl.pipeline(name="user-error")
def user_error(code: int) -> None:
    steps.fail(code=code, text="conf/x.yaml: key 'y' is unknown").set_retry(
        num_retries=2, backoff_duration="0s"
    )


@dsl.pipeline(name="long-log")
def long_log() -> None:
    steps.quiet_fail(code=7)


@dsl.pipeline(name="time-out")
def time_out() -> None:
    kubernetes.set_timeout(steps.stubborn(seconds=60.0), 1)


@dsl.pipeline(name="caching")
def caching(text: str) -> str:
    made = steps.make_data(text=text)
    read = steps.read_data(data=made.outputs["data"], folder=made.outputs["folder"])
    steps.say(text="always").set_caching_options(False)
    return read.outputs["found"]


@dsl.pipeline(name="placeholder-forms")
def placeholder_forms(given: str) -> None:
    steps.placeholders(number=2.0, mapping={"q": 'a "quoted" word'}, given=given)
    steps.say(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER).set_display_name("run-id")


@dsl.pipeline(name="secrets")
def secrets(secret: str = "login") -> None:  # noqa: S107 - the name of a secret
    task = steps.environment(names=["USER_NAME", "LEVEL", "PLAIN"]).set_env_variable("PLAIN", "p")
    kubernetes.use_secret_as_env(task, secret, {"user": "USER_NAME"})
    kubernetes.use_config_map_as_env(task, "settings", {"level": "LEVEL"})


@dsl.pipeline(name="at-once")
def at_once(folder: str) -> None:
    steps.meet(mine=f"{folder}/one", other=f"{folder}/two")
    steps.meet(mine=f"{folder}/two", other=f"{folder}/one")


@dsl.pipeline(name="resumable")
def resumable(folder: str) -> None:
    first = steps.make_data(text="one")
    steps.read_data(data=first.outputs["data"], folder=first.outputs["folder"])
    waited = steps.wait_for(path=f"{folder}/go", seconds=20.0).after(first)
    with dsl.If(waited.outputs["said"] == "seen"):
        steps.say(text="last")


@dsl.pipeline(name="guarded-wait")
def guarded_wait(folder: str) -> None:
    with dsl.ExitHandler(steps.on_exit()):
        waited = steps.wait_for(path=f"{folder}/go", seconds=20.0)
        steps.say(text="after").after(waited)


@dsl.pipeline(name="missing-output")
def missing_output() -> None:
    steps.half_done()


@dsl.pipeline(name="executor-output")
def executor_output() -> int:
    return steps.by_executor_output().outputs["number"]


@dsl.pipeline(name="not-applied")
def not_applied() -> None:
    task = steps.say(text="here").set_cpu_limit("2").set_memory_request("1G")
    kubernetes.add_pod_label(task, "team", "a")
    kubernetes.add_node_selector(task, "disk", "fast")
    kubernetes.set_image_pull_policy(task, "Always")


@dsl.pipeline(name="unsupported")
def unsupported() -> None:
    task = steps.say(text="here").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    kubernetes.mount_pvc(task, "claim", "/data")


PIPELINES = {
    pipeline.name: pipeline
    for pipeline in (
        types,
        artifacts,
        branches,
        named_output,
        loop,
        loop_items,
        loop_over_output,
        unwired,
        nested,
        exit_handler,
        exit_handler_good,
        ignore_upstream,
        import_data,
        retries,
        user_error,
        long_log,
        time_out,
        caching,
        placeholder_forms,
        secrets,
        at_once,
        resumable,
        guarded_wait,
        missing_output,
        executor_output,
        not_applied,
        unsupported,
    )
}


def compile_into(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    compiler.Compiler().compile(PIPELINES[name], str(path))
    return path


if __name__ == "__main__":
    for one in sys.argv[1:] or PIPELINES:
        compile_into(HERE, one)
