"""A group is never on two sides, every row is somewhere, and a leak is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.errors import DataError, InputError
from unstained.images import Pairs, Region, spatial_split, split_kind, split_pairs
from unstained.images.splits import SplitWarning


def rows(groups: dict[str, int], markers: str = "A", **columns: str) -> Pairs:
    """`groups`: fields of each group; every field has all `markers`."""
    table = [
        {"phase": f"/{g}{i}.tif", "stain": f"/{g}{i}_{m}.tif", "marker": m, "group": g, **columns}
        for g, count in groups.items()
        for i in range(count)
        for m in markers
    ]
    return Pairs(pd.DataFrame(table))


def sides(pairs: Pairs) -> dict[str, set[str]]:
    """Groups of each split."""
    return {split: set(part["group"]) for split, part in pairs.table.groupby("split")}


def test_groups_stay_whole_and_no_row_is_lost() -> None:
    pairs = rows({f"g{i}": 1 + i % 3 for i in range(20)}, "AB")
    split = split_pairs(pairs)
    assert len(split) == len(pairs)
    parts = sides(split)
    assert set(parts) == {"train", "validation", "test"}
    assert sum(len(groups) for groups in parts.values()) == 20  # each group once
    assert split_kind(split) == "group"


def test_parts_have_their_share_of_every_marker() -> None:
    # 40 groups of 2 fields; marker B in 10 of them only: 80 rows of A, 20 of B
    common = rows({f"a{i}": 2 for i in range(30)}, "A").table
    rare = rows({f"b{i}": 2 for i in range(10)}, "AB").table
    split = split_pairs(Pairs(pd.concat([common, rare])))
    count = pd.crosstab(split.table["split"], split.table["marker"])
    assert count.loc["train"].tolist() == [64, 16]  # 80 % of 80 and 20
    assert count.loc["validation"].tolist() == [8, 2]
    assert count.loc["test"].tolist() == [8, 2]


def test_a_seed_gives_one_split_and_another_another() -> None:
    pairs = rows({f"g{i}": 1 for i in range(30)})
    first = [split_pairs(pairs, seed=seed).table["split"].tolist() for seed in (0, 0, 1)]
    assert first[0] == first[1]
    assert first[0] != first[2]


def test_three_groups_of_unequal_size_still_fill_three_parts() -> None:
    split = split_pairs(rows({"large": 50, "b": 1, "c": 1}))
    assert sides(split)["train"] == {"large"}
    assert {len(groups) for groups in sides(split).values()} == {1}


def test_three_equal_groups_fill_three_parts() -> None:
    # by need alone the second would teach too: 0.8 of 3 is 2.4
    split = split_pairs(rows({"a": 1, "b": 1, "c": 1}))
    assert split.table["split"].value_counts().to_dict() == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_a_large_second_group_teaches_too() -> None:
    split = split_pairs(rows({"a": 50, "b": 30, **{f"c{i}": 1 for i in range(20)}}))
    assert {"a", "b"} <= sides(split)["train"]
    assert split.table["split"].value_counts().to_dict() == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }


def test_a_given_split_wins() -> None:
    table = rows({"a": 1, "b": 1, "c": 1}).table.assign(split=["test", "train", "validation"])
    split = split_pairs(Pairs(table))
    assert split.table["split"].tolist() == ["test", "train", "validation"]


def test_a_given_split_with_a_group_on_both_sides_is_refused() -> None:
    table = rows({"donor 1": 2, "donor 2": 1}).table.assign(split=["train", "test", "train"])
    with pytest.raises(DataError, match=r"1 groups are on both sides.*donor 1 in test and train"):
        split_pairs(Pairs(table))


def test_a_split_of_some_rows_only_is_refused() -> None:
    table = rows({"a": 1, "b": 1, "c": 1}).table.assign(split=["train", "", "test"])
    with pytest.raises(DataError, match="1 of 3 rows have no split, the first is row 2"):
        split_pairs(Pairs(table))


def test_overlapping_regions_on_two_sides_are_refused_and_touching_ones_not() -> None:
    table = pd.concat([rows({"a": 1}).table] * 2).assign(split=["train", "test"])
    touching = table.assign(region=["0:100,0:60", "0:100,60:90"])
    assert split_kind(split_pairs(Pairs(touching), fractions=(0.9, 0, 0.1))) == "spatial"
    overlapping = table.assign(region=["0:100,0:61", "0:100,60:90"])
    with pytest.raises(DataError, match=r"rows 2 \(test\) and 1 \(train\) share pixels"):
        split_pairs(Pairs(overlapping))


def test_one_group_of_several_fields_is_dealt_out_by_field_with_a_warning() -> None:
    with pytest.warns(SplitWarning, match="all pairs are of one group"):
        split = split_pairs(rows({"a": 10}, "AB"))
    assert split_kind(split) == "field"
    assert split.table.groupby("phase")["split"].nunique().max() == 1  # both markers together
    assert split.table["split"].value_counts().to_dict() == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    assert "one group" in split.notes[-1]
    assert split_pairs(split).table["split"].tolist() == split.table["split"].tolist()


def test_two_groups_give_a_test_group_and_validation_fields_of_the_other() -> None:
    with pytest.warns(SplitWarning):
        split = split_pairs(rows({"a": 10, "b": 3}))
    parts = sides(split)
    assert parts["test"] == {"b"}
    assert parts["train"] == parts["validation"] == {"a"}
    assert len(split) == 13
    split_pairs(split)  # what was made is accepted when it is read again


def test_validation_is_taken_from_the_training_groups_where_none_is_given() -> None:
    pairs = rows({f"g{i}": 1 for i in range(11)})
    given = pairs.with_split(["train"] * 10 + ["test"])
    split = split_pairs(given)
    assert sides(split)["test"] == {"g10"}
    assert len(sides(split)["validation"]) == 1  # one ninth of ten


def field_of(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> Pairs:
    monkeypatch.setattr("unstained.images.fields.full_shape", lambda _: shape)
    return rows({"only": 1}, "AB")


def test_a_single_field_is_cut_into_columns_with_guard_bands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = field_of(monkeypatch, (500, 1128))
    with pytest.warns(SplitWarning, match="cut into parts in space"):
        split = split_pairs(pairs, guard_px=64)
    # 1128 - 2 * 64 = 1000 columns: 800, 100, 100
    expected = {
        "train": ["0:500,0:800"],
        "omit": ["0:500,800:864", "0:500,964:1028"],
        "validation": ["0:500,864:964"],
        "test": ["0:500,1028:1128"],
    }
    found = split.table[split.table["marker"] == "A"].groupby("split")["region"].apply(list)
    assert found.to_dict() == expected
    assert len(split) == 10  # five parts, two markers
    assert split_kind(split) == "spatial"
    area = sum(r.shape[0] * r.shape[1] for r in map(Region.parse, found.explode()))
    assert area == 500 * 1128  # every pixel is somewhere, once


def test_a_narrow_field_is_named_with_the_semicolon_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a;b.npy"
    np.save(path, np.zeros((8, 40)))
    rows = [{"phase": str(path), "stain": str(path), "marker": "A", "group": "1"}]
    with pytest.raises(DataError, match=r"a;b\.npy: is 40 px wide"):
        spatial_split(Pairs(pd.DataFrame(rows)))


def test_a_field_too_narrow_to_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = field_of(monkeypatch, (500, 300))
    # 300 - 128 = 172; a tenth is 17
    with pytest.raises(
        DataError, match=r"is 300 px wide: too narrow.*would have 17, 32 are needed"
    ):
        spatial_split(pairs)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="fractions"):
        split_pairs(rows({"a": 1}), fractions=fractions)


def test_single_cells_of_one_group_may_be_on_two_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.concat([rows({"day 1": 1}).table] * 2 + [rows({"day 2": 1}).table])
    table = table.assign(cell=["1", "2", "3"], region=["0:40,0:40", "40:80,0:40", ""])
    table = table.assign(split=["train", "validation", "test"])
    assert split_kind(split_pairs(Pairs(table))) == "cell"


def test_the_standard_splits_of_both_data_sets_pass(data_set) -> None:  # type: ignore[no-untyped-def]
    from unstained.images import load_pairs

    for name, kind in [("isl", "spatial"), ("mlcp", "cell")]:
        data_set(name)
        assert split_kind(split_pairs(load_pairs(name))) == kind


def test_no_pairs_cannot_be_split() -> None:
    with pytest.raises(DataError, match="no pairs to split"):
        split_pairs(rows({"a": 1}).of_split("test"))
