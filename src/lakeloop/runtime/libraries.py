"""Versions of the libraries that have a say in a model's bytes, as installed here."""

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("lakeloop", "xgboost-cpu", "xgboost", "numpy", "pyarrow", "pyiceberg", "mlflow", "pyspark")


def libraries_here() -> dict[str, str]:
    """Package -> version, those that are installed."""
    return {name: number for name in LIBRARIES if (number := _installed(name))}


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
