"""A wrong use-case file gets one error that names every place."""

from pathlib import Path
from textwrap import dedent

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import FilesSource
from lakeloop.use_case_files import find_use_case, load_use_case

GOOD = """\
name: demo
table:
  name: shop.orders
  key: [id]
  event_time: at
  columns: {id: long, at: timestamp, amount: double, late: int}
source: {kind: files, path: "data/*.csv"}
label: {column: late}
features: [amount]
train: {params: {eta: 1e-3}}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "demo.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return str(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_use_case(written(folder, text))
    return [line.removeprefix(f"{folder / 'demo.yaml'}:") for line in str(caught.value).splitlines()]


def test_a_good_file_loads_with_its_source_seen_from_its_folder(tmp_path: Path) -> None:
    use_case = load_use_case(written(tmp_path, GOOD))
    assert isinstance(use_case.source, FilesSource)
    assert use_case.source.path == str(tmp_path / "data" / "*.csv")
    assert use_case.train.params == {"eta": 0.001}


def test_a_source_with_a_scheme_stays_as_it_is(tmp_path: Path) -> None:
    use_case = load_use_case(written(tmp_path, GOOD.replace("data/*.csv", "s3://bucket/*.csv")))
    assert isinstance(use_case.source, FilesSource)
    assert use_case.source.path == "s3://bucket/*.csv"


def test_canonical_json_is_what_a_step_reads_back(tmp_path: Path) -> None:
    from lakeloop.runtime.step import parse_use_case

    use_case = load_use_case(written(tmp_path, GOOD))
    assert parse_use_case(use_case.canonical_json()) == use_case


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("tabel: {}\nlabel: ", "label: ", "8: tabel: no such key -> did you mean table?"),
        (
            "label: {colum: late}",
            "label: {column: late}",
            "8: label.colum: no such key -> did you mean column?",
        ),
        ("amount: doubl", "amount: double", "did you mean double?"),
        ("key: [idd]", "key: [id]", "4: table.key: column 'idd' is not in table.columns -> did you mean id?"),
        ("features: [amont]", "features: [amount]", "9: features: column 'amont' is not in table.columns"),
        (
            "features: [late]",
            "features: [amount]",
            "9: features: 'late' is the label; a feature never sees it",
        ),
        ("kind: fils", "kind: files", "7: source: 'fils' is not one of"),
        ("path: data, pth: x", 'path: "data/*.csv"', "7: source.pth: no such key -> did you mean path?"),
        ("{eta: 1e-3}, rounds: ten", "{eta: 1e-3}", "10: train.rounds: should be a valid integer"),
        ("{eta: 1e-3}, window: {policy: incremental}", "{eta: 1e-3}", "did you mean increment?"),
        (
            "features: [{nme: amount}]",
            "features: [amount]",
            "9: features.0.nme: no such key -> did you mean name?",
        ),
        (
            "amount: double, AMOUNT: double",
            "amount: double",
            "6: table.columns: 'amount' and 'AMOUNT' differ by case",
        ),
        ("features: [amount, {name: Amount, column: amount}]", "features: [amount]", "differ by case only"),
        ("column: false", "column: late", "8: label.column: YAML reads this as false -> put it in quotes"),
        (
            "  event_time: at\n  partition_by: [days(amount)]",
            "  event_time: at",
            "6: table.partition_by: column 'amount'",
        ),
        (
            "path: x, csv_delimiter: '\"'",
            'path: "data/*.csv"',
            "7: source.csv_delimiter: '\"' cannot stand between",
        ),
        ("{eta: 1e-3}, rounds: yes", "{eta: 1e-3}", "10: train.rounds: should be a valid integer"),
        ("label: {column: at}", "label: {column: late}", "8: label.column: 'at' is a timestamp, no label"),
        (
            "features: [amount]\nexpectations: {ranges: {at: {min: 1}}}",
            "features: [amount]",
            "10: expectations.ranges: column 'at' is declared as timestamp, which has no range",
        ),
    ],
)
def test_a_problem_is_named_with_line_place_and_nearest(
    tmp_path: Path, wrong: str, right: str, expected: str
) -> None:
    assert any(expected in line for line in problems(tmp_path, GOOD.replace(right, wrong)))


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("name: demo", "nme: demo").replace("[amount]", "[{name: x, colunm: amount}]")
    lines = [int(line.split(":")[0]) for line in problems(tmp_path, text + "gaet: {}\n")]
    assert lines == sorted(lines)
    assert {1, 9, 11} <= set(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "label: {column: amount}\n", "demo.yaml:11: key 'label' is given twice, first in line 8"),
        ("name: [a\n", "not valid YAML"),
        ("", "the file is empty"),
        ("name: !!python/object:os.system x\n", "not valid YAML"),
        ("- a\n", "should be an object"),
    ],
)
def test_what_is_no_mapping_of_unique_keys_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError, match=r"demo\.yaml") as caught:
        load_use_case(written(tmp_path, text))
    assert expected in str(caught.value)


def test_an_unreadable_file_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        load_use_case(str(path))


def test_a_name_is_looked_up_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD)
    monkeypatch.setenv("LAKELOOP_USE_CASES", str(tmp_path))
    assert find_use_case("demo") == tmp_path / "demo.yaml"
    with pytest.raises(UserError, match="there: demo"):
        find_use_case("other")
    with pytest.raises(UserError, match="there is no such file"):
        find_use_case("nowhere/other.yaml")


def test_yes_and_no_are_texts_as_in_yaml_1_2(tmp_path: Path) -> None:
    """As column names, and as values of the label: before, `positive: yes` was true, which no text is."""
    text = GOOD.replace("late: int", "no: double, late: string").replace("[amount]", "[amount, no]")
    use_case = load_use_case(
        written(tmp_path, text.replace("{column: late}", "{column: late, positive: yes}"))
    )
    assert use_case.label.positive == "yes"
    assert use_case.table.columns["no"] == "double"
    assert [f.column for f in use_case.features] == ["amount", "no"]
