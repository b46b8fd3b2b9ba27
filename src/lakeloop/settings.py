"""WHERE lakeloop runs: read from LAKELOOP_* variables, never from a use case."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from lakeloop import __version__
from lakeloop.domain.engines import Engine
from lakeloop.mounts import PREFIX, mounted_folders


class Settings(BaseSettings):
    """Places and engines. Everything defaults to the embedded set-up below `home`.

    A variable wins over a file of the same name in a mounted folder (`mounted_folders`): that is how a pod gets them.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".lakeloop"), description="Folder of the embedded set-up.")
    catalog_name: str = Field(default="lake", pattern=r"^[a-z][a-z0-9_]*$")
    iceberg_catalog: dict[str, str] = Field(
        default_factory=dict,
        description="pyiceberg's catalog properties, untouched (JSON). Empty: SQLite below home.",
    )
    spark_catalog: dict[str, str] = Field(
        default_factory=dict,
        description="Spark's catalog properties, untouched (JSON), without the spark.sql.catalog.NAME prefix.",
    )
    warehouse_uri: str = ""
    staging_uri: str = ""
    journal_uri: str = ""
    spark_master: str = "local[*]"
    spark_conf: dict[str, str] = Field(
        default_factory=dict, description="Spark properties, untouched (JSON)."
    )
    spark_packages: tuple[str, ...] = (
        "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",
        "org.xerial:sqlite-jdbc:3.50.3.0",
    )
    spark_connection: str = Field(
        default="",
        description="Name of a Cloudera AI data connection: Spark sessions come from it (cml.data_v1).",
    )
    spark_jars_folder: Path | None = Field(
        default=None, description="Where the packages lie; an image bakes them in."
    )
    spark_executor_image: str = Field(
        default="",
        description="Image of executors on Kubernetes; empty: the image of the step's own container.",
    )
    spark_executor_secrets: dict[str, Annotated[str, Field(pattern=r"^[^:]+:[^:]+$")]] = Field(
        default_factory=dict,
        description="Executors' environment from Secrets, variable -> SECRET:KEY (JSON), beside the AWS_* references "
        "that the step's own container has.",
    )
    spark_event_log_uri: str = Field(
        default="",
        description="Folder (file:, s3:) of Spark's event logs, for a history server; empty: none.",
    )
    local_generation_rows: int = Field(
        default=2_000_000, description="Synthetic batches up to this size need no JVM."
    )
    engine: Engine = Field(
        default="auto", description="Lands and scores batches, computes features; auto: as the use case says."
    )
    local_engine_rows: int | None = Field(
        default=None,
        description="Up to so many rows, batches and features need no JVM (engine auto). "
        "Default: what fits into a third of the free memory.",
    )
    online_store_uri: str = Field(
        default="", description="redis://host:port/db, or a SQLite file. Empty: a SQLite file below home."
    )
    mlflow_tracking_uri: str = ""
    mlflow_registry_uri: str = Field(
        default="",
        description="Versions and aliases. Empty: where runs are tracked; with a plugin's tracking, SQLite below home.",
    )
    mlflow_artifact_uri: str = ""
    git_commit: str = "unknown"
    image_digest: str = "embedded"
    pipeline_run_by: str = ""
    kfp_host: str = Field(
        default="",
        description="URL of the Kubeflow Pipelines API. Empty: its Service in a pod, else through the Kubernetes"
        " API server of the current kube context.",
    )
    kfp_namespace: str = Field(default="kubeflow", description="Where the service ml-pipeline is.")
    kfp_profile: str = Field(
        default="", description="Multi-user Kubeflow: the profile's namespace, where the runs' pods are."
    )
    kfp_service_account: str = Field(default="lakeloop-steps", description="The steps' service account.")
    kfp_ui_url: str = Field(default="", description="Address of the Kubeflow Pipelines web page, for links.")
    kfp_token_file: Path | None = Field(default=None, description="File with a bearer token for the API.")
    job_namespace: str = Field(
        default="lakeloop", description="Where `submit --on kubernetes-job` makes Jobs."
    )
    job_image: str = Field(
        default="lakeloop/distributed:0.1.0", description="Image of such a Job: Spark, training, reporting."
    )
    kfp_ca_file: Path | None = Field(default=None, description="Certificate authorities of `kfp_host`.")
    deployment_target: Literal["", "local", "kserve", "cai"] = Field(
        default="", description="Goes before `deployment.target` of every use case. Empty: theirs."
    )
    endpoint_namespace: str = Field(
        default="lakeloop",
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="Namespace of endpoints on a cluster.",
    )
    models_uri: str = Field(
        default="", description="Where models lie for predictors of a cluster, e.g. s3://lakeloop/models."
    )
    serve_image: str = Field(
        default=f"lakeloop/serve:{__version__}", description="Image of predictors and gateways on a cluster."
    )
    shipper_image: str = Field(
        default=f"lakeloop/train:{__version__}",
        description="Image of the container beside a cluster's predictor that ships its prediction log; "
        "`none`: predictions are not logged there.",
    )
    gateway_replicas: int = Field(default=2, ge=1, le=100, description="Gateway pods of an endpoint.")
    claim_lease_seconds: float = Field(
        default=3600.0, ge=1, description="A silent run's claim on its use case is taken over after this."
    )
    clock_skew_seconds: float = Field(
        default=60.0,
        ge=0,
        description="By how much the clocks of two machines may differ: claims wait longer.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Given values, then variables, then mounted files."""
        mounted = mounted_folders()
        files = (SecretsSettingsSource(settings_cls, secrets_dir=mounted),) if mounted else ()
        return init_settings, env_settings, *files

    @cached_property
    def root(self) -> Path:
        """`home`, absolute."""
        return self.home.expanduser().resolve()

    @property
    def embedded_catalog_path(self) -> Path:
        """The SQLite file that Spark and pyiceberg share."""
        return self.root / "catalog.db"

    @property
    def warehouse(self) -> str:
        """URI below which new tables lie."""
        return self.warehouse_uri or (self.root / "warehouse").as_uri()

    @property
    def staging(self) -> str:
        """URI below which batches wait to be ingested, and refused ones are kept."""
        return self.staging_uri or (self.root / "staging").as_uri()

    @property
    def journal(self) -> str:
        """URI of the run journal."""
        return self.journal_uri or (self.root / "journal").as_uri()

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_is_plugin(self) -> bool:
        """Whether runs are tracked through a plugin of MLflow, as in a Cloudera AI workbench."""
        scheme = self.tracking_uri.partition(":")[0]
        return scheme not in {"sqlite", "http", "https", "file", "postgresql", "mysql", "mssql"}

    @property
    def registry_uri(self) -> str:
        """MLflow's registry URI: a workbench's plugin keeps no aliases."""
        embedded = f"sqlite:///{self.root / 'mlflow.db'}"
        return self.mlflow_registry_uri or (embedded if self.mlflow_is_plugin else self.tracking_uri)

    @property
    def artifact_uri(self) -> str:
        """Where new MLflow experiments keep artifacts (embedded; a server has its own)."""
        return self.mlflow_artifact_uri or (self.root / "mlartifacts").as_uri()

    @property
    def jars_folder(self) -> Path:
        """Folder of Spark's extra jars, shared by every home of this user."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return self.spark_jars_folder or cache / "lakeloop" / "jars"

    @property
    def endpoints_folder(self) -> Path:
        """State of local endpoints."""
        return self.root / "endpoints"

    @property
    def changes_folder(self) -> Path:
        """Locks of changes by hand that go on."""
        return self.root / "changes"

    @property
    def runs_folder(self) -> Path:
        """Run folders of the process runner."""
        return self.root / "runs"


_CREDENTIALS = ("AWS_", "PYICEBERG_")


def online_store_environment(settings: Settings) -> dict[str, str]:
    """Variables with which a server finds the online store, and nothing else."""
    uri = settings.online_store_uri
    place = str(Path(uri).absolute()) if uri and "://" not in uri else uri
    return {"LAKELOOP_HOME": str(settings.root), "LAKELOOP_ONLINE_STORE_URI": place}


def places_environment(settings: Settings) -> dict[str, str]:
    """Variables with which another process of this machine finds the same catalog and files."""
    places = {
        **online_store_environment(settings),
        "LAKELOOP_CATALOG_NAME": settings.catalog_name,
        "LAKELOOP_ICEBERG_CATALOG": json.dumps(settings.iceberg_catalog),
        "LAKELOOP_WAREHOUSE_URI": settings.warehouse_uri,
    }
    return places | {k: v for k, v in os.environ.items() if k.startswith(_CREDENTIALS)}
