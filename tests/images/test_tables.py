"""Tables of users: what their programs leave around the rows."""

from pathlib import Path

import pytest

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
