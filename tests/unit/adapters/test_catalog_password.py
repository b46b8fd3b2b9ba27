"""A catalog's password reaches Java by a file that only this user reads, never by a property."""

import stat
from pathlib import Path

import pytest

from lakeloop.adapters.spark.catalog_password import line_of, provide_catalog_password
from lakeloop.adapters.spark.session import spark_properties
from lakeloop.settings import Settings

POSTGRES = {"uri": "jdbc:postgresql://db:5432/lake", "jdbc.user": "lakeloop"}


def test_the_password_goes_into_a_private_file() -> None:
    environment = {"PGPASSWORD": "s3:cr\\3t"}
    provide_catalog_password(Settings(spark_catalog=POSTGRES), environment)
    file = Path(environment["PGPASSFILE"])
    assert file.read_text() == "*:*:*:*:s3\\:cr\\\\3t\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_property_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3ntinel")
    settings = Settings(spark_catalog=POSTGRES, spark_packages=())
    assert "s3ntinel" not in str(spark_properties(settings, None, {}))


@pytest.mark.parametrize(
    ("catalog", "environment"),
    [
        (POSTGRES, {}),
        (POSTGRES, {"PGPASSWORD": "p", "PGPASSFILE": "/mine"}),
        (POSTGRES | {"jdbc.password": "p"}, {"PGPASSWORD": "p"}),
        ({"type": "rest", "uri": "http://catalog"}, {"PGPASSWORD": "p"}),
    ],
)
def test_what_is_declared_otherwise_is_left_alone(
    catalog: dict[str, str], environment: dict[str, str]
) -> None:
    before = dict(environment)
    provide_catalog_password(Settings(spark_catalog=catalog), environment)
    assert environment == before


def test_line_of_an_ordinary_password() -> None:
    assert line_of("plain") == "*:*:*:*:plain\n"
