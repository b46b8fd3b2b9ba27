"""The images: one dependency set each. Sizes and reasons: docs/adr on images."""

from dataclasses import dataclass
from typing import Final

from components.images import VERSION

SHARED: Final = {"core": ("train", "spark", "deploy", "serve"), "steps": ("train", "spark", "deploy")}
"""Layer of dependencies -> the images that have it in common, the lowest layer first."""


@dataclass(frozen=True)
class ImageSet:
    """One Dockerfile below `images/`.

    Attributes:
        name: folder below `images/`.
        extras: extras of pyproject.toml whose locked dependencies it holds.
        tags: names of the image, the first is its own.
        code: whether it holds lakeloop itself.
        jars: whether it holds Spark's jars.
    """

    name: str
    extras: tuple[str, ...]
    tags: tuple[str, ...]
    code: bool = True
    jars: bool = False


SETS: Final = (
    ImageSet("train", ("train", "report", "postgres", "ship"), (f"lakeloop/train:{VERSION}",)),
    ImageSet(
        "spark",
        ("distributed", "report", "endpoint", "postgres"),
        (f"lakeloop/spark:{VERSION}", f"lakeloop/distributed:{VERSION}"),
        jars=True,
    ),
    ImageSet("deploy", ("train", "postgres", "cluster"), (f"lakeloop/deploy:{VERSION}",)),
    ImageSet("serve", ("serve",), (f"lakeloop/serve:{VERSION}",)),
    ImageSet("mlflow", ("tracking-server",), (f"lakeloop/mlflow:{VERSION}",), code=False),
)
