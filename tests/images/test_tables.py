"""Tables of users: what their programs leave around the rows."""

from pathlib import Path

import pytest

from unstained.errors import DataError
from unstained.images.tables import read_table, read_typed_table


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_separators_alone_are_no_rows(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "t.csv"
    rows = ["image,day", "a.tif,1", ",", "b.tif,", ",", ""]
    path.write_text("\n".join(rows).replace(",", separator), encoding="utf-8-sig")
    table = read_table(path)
    assert table.to_numpy().tolist() == [["a.tif", "1"], ["b.tif", ""]]
    typed = read_typed_table(path, ["image"])
    assert typed["image"].tolist() == ["a.tif", "b.tif"]
    assert typed["day"][0] == 1
    assert typed["day"].isna().tolist() == [False, True]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,day\n,\n", encoding="utf-8")
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["image", "day"]
    assert table.empty


def test_quotes_hold_separators(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('image,"drug; dose; unit",plates\na.tif,x,"1,2"\n', encoding="utf-8")
    assert list(read_table(path).columns) == ["image", "drug; dose; unit", "plates"]
    assert read_typed_table(path, ["image"])["plates"].tolist() == ["1,2"]
    path.write_text("image;dose\na.tif;0,5\n", encoding="utf-8")
    with pytest.raises(DataError, match="column dose holds '0,5'; write numbers with a point"):
        read_typed_table(path, ["image"])


@pytest.mark.parametrize("second", ["day", " day"])  # pandas would call the first day.1
def test_columns_of_one_name_are_refused(second: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"image,day,{second}\na.tif,1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="has two columns day; give each its own name"):
        read_table(tmp_path / "t.csv")


def test_a_column_of_true_and_false_is_of_truths(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,treated,seen\na.tif,True,True\nb.tif,False,\n", encoding="utf-8")
    table = read_typed_table(path, ["image"])
    assert table["treated"].tolist() == [True, False]
    assert table["seen"].iloc[0] == "True"  # not known of b: it stays text


def test_names_that_mean_nothing_to_other_programs_are_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    names = ["NA", "nan", "null", "None", "N/A", "NULL"]
    rows = [f"{name},{name},{name},{i}\n" for i, name in enumerate(names)]
    path.write_text("image,donor,dose,day\n" + "".join(rows) + "x,,0.5,\n", encoding="utf-8")
    table = read_typed_table(path, ["image"])
    assert table["image"].tolist() == [*names, "x"]
    assert table["donor"].tolist()[:-1] == names  # of text alone: they are donors
    assert table["donor"].isna().tolist() == [False] * 6 + [True]  # an empty cell is missing
    assert table["dose"].isna().tolist() == [True] * 6 + [False]  # of numbers: there is none
    assert table["dose"].iloc[-1] == 0.5
    assert table["day"].tolist()[:-1] == [0, 1, 2, 3, 4, 5]
    assert read_table(path)["image"].tolist() == [*names, "x"]
