"""Six ways to the same five features of loans. Each reads the same Parquet file; all but Spark's end in memory."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

FEATURES = ("nb_previous_loans", "avg_amount_loans_previous", "age", "years_on_the_job", "flag_own_car")
COLUMNS = (
    "loan_id",
    "id",
    "loan_date",
    "loan_amount",
    "birthday",
    "job_start_date",
    "flag_own_car",
    "status",
)
DAYS_A_YEAR = 365.2425


def pandas_group_by_group(file: Path) -> pa.Table:
    """The traditional way: one customer after the other."""
    import pandas as pd

    loans = pd.read_parquet(file, columns=list(COLUMNS))
    for column in ("loan_date", "birthday", "job_start_date"):
        loans[column] = pd.to_datetime(loans[column])
    loans["nb_previous_loans"] = np.nan
    loans["avg_amount_loans_previous"] = np.nan
    counts, means = np.full(len(loans), np.nan), np.full(len(loans), np.nan)
    loans["place"] = np.arange(len(loans))
    for _, group in loans[loans["loan_date"].notna()].sort_values("loan_date").groupby("id", sort=False):
        days = group["loan_date"].to_numpy()
        earlier = np.searchsorted(days, days, side="left")
        sums = np.concatenate(([0.0], group["loan_amount"].cumsum().to_numpy()))
        places = group["place"].to_numpy()
        counts[places] = earlier
        means[places] = np.where(earlier > 0, sums[earlier] / np.maximum(earlier, 1), np.nan)
    loans["nb_previous_loans"], loans["avg_amount_loans_previous"] = counts, means
    at, born = loans["loan_date"], loans["birthday"]
    birthday_ahead = (at.dt.month * 100 + at.dt.day) < (born.dt.month * 100 + born.dt.day)
    loans["age"] = (at.dt.year - born.dt.year - birthday_ahead).where(born.notna() & at.notna())
    days_on_job = (at - loans["job_start_date"]).dt.days
    loans["years_on_the_job"] = (days_on_job / DAYS_A_YEAR).where(days_on_job >= 0)
    return pa.Table.from_pandas(loans[["loan_id", *FEATURES]], preserve_index=False)


def duckdb_query(file: Path) -> pa.Table:
    """One SQL query."""
    import duckdb

    past = "PARTITION BY id ORDER BY loan_date RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 DAY PRECEDING"
    ahead = "month(loan_date) * 100 + day(loan_date) < month(birthday) * 100 + day(birthday)"
    job = "date_diff('day', job_start_date, loan_date)"
    query = f"""
        SELECT loan_id,
          CASE WHEN loan_date IS NOT NULL THEN count(*) OVER past END AS nb_previous_loans,
          CASE WHEN loan_date IS NOT NULL THEN avg(loan_amount) OVER past END AS avg_amount_loans_previous,
          year(loan_date) - year(birthday) - CASE WHEN {ahead} THEN 1 ELSE 0 END AS age,
          CASE WHEN {job} >= 0 THEN {job} / {DAYS_A_YEAR} END AS years_on_the_job, flag_own_car
        FROM read_parquet('{file}') WINDOW past AS ({past})
    """  # noqa: S608 - a path of this bench
    with duckdb.connect(":memory:") as connection:
        return connection.sql(query).to_arrow_table()


def polars_query(file: Path) -> pa.Table:
    """One lazy query: totals a day, cumulative within the customer, joined back."""
    import polars as pl

    loans = pl.scan_parquet(file).select(COLUMNS)
    days = (
        loans.filter(pl.col("loan_date").is_not_null())
        .group_by("id", "loan_date")
        .agg(pl.len().alias("n"), pl.col("loan_amount").sum().alias("amount"))
        .sort("id", "loan_date")
        .with_columns(
            (pl.col("n").cum_sum().over("id") - pl.col("n")).alias("nb_previous_loans"),
            (pl.col("amount").cum_sum().over("id") - pl.col("amount")).alias("before"),
        )
    )
    at, born = pl.col("loan_date"), pl.col("birthday")
    ahead = (
        at.dt.month().cast(pl.Int32) * 100 + at.dt.day()
        < born.dt.month().cast(pl.Int32) * 100 + born.dt.day()
    )
    on_job = (at - pl.col("job_start_date")).dt.total_days()
    before = pl.when(pl.col("nb_previous_loans") > 0).then(pl.col("before") / pl.col("nb_previous_loans"))
    found = loans.join(days.drop("n", "amount"), on=["id", "loan_date"], how="left").select(
        "loan_id",
        "nb_previous_loans",
        before.alias("avg_amount_loans_previous"),
        (at.dt.year() - born.dt.year() - ahead.cast(pl.Int32)).alias("age"),
        pl.when(on_job >= 0).then(on_job / DAYS_A_YEAR).alias("years_on_the_job"),
        "flag_own_car",
    )
    return found.collect().to_arrow()


def lakeloop_in_process(file: Path) -> pa.Table:
    """The use case's own declaration, on the in-process engine."""
    from pyarrow import parquet

    from lakeloop.adapters.duckdb.feature_rows import feature_rows

    rows = parquet.read_table(file, columns=list(COLUMNS))
    return feature_rows(rows, declared("duckdb"), "bench")


def lakeloop_in_process_increment(file: Path, increment: Path) -> pa.Table:
    """The new rows only, and of the others just the columns and customers that they look at."""
    from pyarrow import parquet

    from lakeloop.adapters.duckdb.feature_rows import feature_rows
    from lakeloop.adapters.in_process.entities import among

    rows = parquet.read_table(increment, columns=list(COLUMNS))
    seen, customers = ["loan_id", "id", "loan_date", "loan_amount"], rows.column("id").unique()
    tables = (parquet.read_table(part, columns=seen) for part in (file, increment))
    history = pa.concat_tables(table.filter(among(table.column("id"), customers)) for table in tables)
    return feature_rows(rows, declared("duckdb"), "bench", history)


def spark_job_a_feature(spark: Any, file: Path, out: Path) -> Path:
    """The challenge's way: a job for each feature, each written, then read again and joined."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812

    loans = spark.read.parquet(str(file))
    known = F.col("loan_date").isNotNull()
    days = F.datediff(F.col("loan_date"), F.lit("1970-01-01"))
    past = Window.partitionBy("id").orderBy(days).rangeBetween(Window.unboundedPreceding, -1)
    born, at = F.col("birthday"), F.col("loan_date")
    ahead = F.month(at) * 100 + F.dayofmonth(at) < F.month(born) * 100 + F.dayofmonth(born)
    on_job = F.datediff(at, F.col("job_start_date"))
    features = {
        "nb_previous_loans": F.when(known, F.count(F.when(known, 1)).over(past)),
        "avg_amount_loans_previous": F.when(known, F.avg(F.when(known, F.col("loan_amount"))).over(past)),
        "age": F.year(at) - F.year(born) - F.when(ahead, 1).otherwise(0),
        "years_on_the_job": F.when(on_job >= 0, on_job.cast("double") / F.lit(DAYS_A_YEAR)),
        "flag_own_car": F.col("flag_own_car"),
    }
    for name, column in features.items():
        loans.select("loan_id", column.alias(name)).write.mode("overwrite").parquet(str(out / name))
    joined = loans.select("loan_id", "id", "loan_date", "status")
    for name in features:
        joined = joined.join(spark.read.parquet(str(out / name)), "loan_id")
    joined.write.mode("overwrite").parquet(str(out / "training"))
    return out / "training"


def lakeloop_on_spark(spark: Any, file: Path, out: Path, increment: Path | None = None) -> Path:
    """The same declaration in Spark: one pass, written once. With an increment, its rows only."""
    from pyarrow import parquet

    from lakeloop.adapters.spark.feature_rows import feature_rows

    source, history = spark.read.parquet(str(increment or file)), None
    if increment is not None:
        history = spark.read.parquet(str(file), str(increment))
    files = [file] if increment is None else [file, increment, increment]
    rows_at_most = sum(parquet.ParquetFile(f).metadata.num_rows for f in files)
    rows = feature_rows(source, declared("spark"), "bench", history, rows_at_most)
    rows.write.mode("overwrite").parquet(str(out / "lakeloop"))
    return out / "lakeloop"


@functools.cache
def declared(dialect: str) -> Any:
    """The feature table of the committed use case, in an engine's SQL."""
    from lakeloop.domain.dialects import DUCKDB, SPARK
    from lakeloop.domain.feature_table import feature_table
    from lakeloop.use_case_files import load_use_case

    use_case = load_use_case("loans")
    return feature_table(use_case, dict(use_case.table.columns), SPARK if dialect == "spark" else DUCKDB)
