"""A synthetic batch source, declared in the use case (schema; the rows are made by `lakeloop.domain.generation`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen


class SyntheticSource(Frozen):
    """A seeded generator: the same (seed, batch number, row number) gives the same row on any engine."""

    kind: Literal["synthetic"]
    rows: int = Field(default=10_000, ge=1, description="Rows a batch.")
    seed: int = Field(default=42, ge=0)
