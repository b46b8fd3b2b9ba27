"""The pipeline of scenario 20: one step, in an image that is named by a tag. `python -m tests.scorecard.tagged`."""

from pathlib import Path

from kfp import compiler, dsl


@dsl.container_component
def answer(made: dsl.Output[dsl.Artifact]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="retrain:latest", command=["python", "step.py"], args=[made.path])


@dsl.pipeline(name="tagged")
def tagged() -> None:
    answer()


if __name__ == "__main__":
    compiler.Compiler().compile(tagged, str(Path(__file__).with_suffix(".yaml")))
