"""What is asked of Kubernetes for one Spark session, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import ceil

from lakeloop.domain.base import sha256_hex
from lakeloop.domain.errors import UserError
from lakeloop.domain.spark_resources import SparkResources

SESSION_LABEL = "lakeloop/spark-session"
LABELS = {"app.kubernetes.io/part-of": "lakeloop", "app.kubernetes.io/component": "spark-executor"}
_LONGEST_PREFIX = 47  # of `podNamePrefix`, by Spark: room for -exec-ID inside a DNS label


@dataclass(frozen=True)
class DriverPod:
    """The pod that this process runs in.

    Args:
        name: metadata.name; executors are owned by this pod.
        namespace: executors run there, too.
        ip: where executors reach the driver.
        image: of this process' container.
        secret_env: environment variables that come from Secrets here, as name -> (Secret, key).
        pull_secrets: names of the Secrets that its images are pulled with.
        pull_policy: of this process' container.
    """

    name: str
    namespace: str
    ip: str
    image: str
    secret_env: dict[str, tuple[str, str]] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()
    pull_policy: str = "IfNotPresent"


@dataclass(frozen=True)
class ExecutorRequest:
    """One session's executors.

    Args:
        session: unique; names and labels every pod of the session.
        driver: their owner.
        resources: number, size, place.
        image: of the executors.
        tasks: how many tasks must run at once (barrier stages); None lets the number follow the load.
        env: environment variables, none of them secret.
        secret_env: environment variables by reference, name -> (Secret, key).
    """

    session: str
    driver: DriverPod
    resources: SparkResources
    image: str
    tasks: int | None = None
    env: dict[str, str] = field(default_factory=dict)
    secret_env: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse tasks that the declared bound has no room for.

        Raises:
            UserError: `tasks` at once need more executors than `executors.max`.
        """
        executors = self.resources.executors
        if self.tasks is not None and self.fixed and self.fixed > executors.max:
            raise UserError(
                f"{self.tasks} tasks at once need {self.fixed} executors of {executors.cores} cores, "
                f"and spark.executors.max is {executors.max}",
                where="train.workers",
                fix=f"set spark.executors.max to {self.fixed} or more, or fewer train.workers",
            )

    @property
    def fixed(self) -> int | None:
        """The number of executors where it does not follow the load."""
        executors = self.resources.executors
        if self.tasks is not None:
            return ceil(self.tasks / executors.cores)
        return executors.min if executors.min == executors.max else None

    @property
    def needed(self) -> int:
        """With fewer running executors than this, the step does not go on as declared."""
        return self.fixed or max(1, self.resources.executors.min)


def session_name(app_name: str, driver_pod: str, nonce: str) -> str:
    """A DNS label of at most 47 characters, the same for the same arguments: application, then a digest."""
    digest = sha256_hex(f"{driver_pod}\n{nonce}")[:10]
    slug = re.sub(r"[^a-z0-9]+", "-", app_name.lower()).strip("-")[: _LONGEST_PREFIX - 11].strip("-")
    return f"{slug or 'spark'}-{digest}" if not slug[:1].isdigit() else f"s{slug[:-1]}-{digest}"
