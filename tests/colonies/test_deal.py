"""Who is labelled, validated, tested: no group on two sides, every class in its share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.colonies.deal import (
    Parts,
    a_tenth,
    check_grouped,
    check_splits,
    choose_labelled,
    deal,
    folds,
    parts,
    units,
)
from unstained.colonies.examples import Examples
from unstained.errors import DataError, InputError

CLASSES = ("a", "b", "c")


def plate(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes -2 ... 2 of images in 8 to 40 wells of 1 to 30 images, class 2 rare."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, rng.integers(8, 40))
    groups = np.repeat([f"well {i}" for i in range(sizes.size)], sizes)
    y = rng.choice([-2, -1, 0, 1, 2], groups.size, p=[0.1, 0.2, 0.4, 0.25, 0.05])
    return y, groups


def examples(
    label: list[str], group: list[str] | None = None, split: list[str] | None = None
) -> Examples:
    table = pd.DataFrame({"image": [f"{i}.tif" for i in range(len(label))], "label": label})
    table["group"] = "" if group is None else group
    table["split"] = "" if split is None else split
    return Examples(table, Path(), "the table")


def sides(groups: np.ndarray, part: np.ndarray) -> int:
    """The most parts that a group is in."""
    return max(len(set(part[groups == g])) for g in set(groups))


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_in_two_parts(seed: int) -> None:
    y, groups = plate(seed)
    part = deal(y, groups, [0.6, 0.3, 0.1], seed)
    assert sides(groups, part) == 1
    assert set(part) <= {0, 1, 2}


def test_single_images_are_dealt_in_the_classes_shares() -> None:
    y = np.repeat([0, 1, 2], [700, 250, 50])
    part = deal(y, np.arange(1000), [0.8, 0.1, 0.1], 0)
    count = np.array([[(y[part == p] == k).sum() for k in range(3)] for p in range(3)])
    assert count.tolist() == [[560, 200, 40], [70, 25, 5], [70, 25, 5]]


def test_rare_classes_come_to_every_fold() -> None:
    # four of ten wells have the rare class: two go to each of two folds
    groups = np.repeat(np.arange(10), 20)
    y = np.zeros(200, int)
    y[np.isin(groups, [1, 4, 6, 9]) & (np.arange(200) % 20 < 2)] = 1
    for seed in range(10):
        fold = folds(y, groups, 2, seed)
        assert [(y[fold == f] == 1).sum() for f in (0, 1)] == [4, 4]
        assert [(fold == f).sum() for f in (0, 1)] == [100, 100]


@pytest.mark.parametrize("seed", range(10))
def test_folds_are_whole_groups_and_hold_each_image_once(seed: int) -> None:
    y, groups = plate(seed)
    fold = folds(y, groups, 5, seed)
    assert sides(groups, fold) == 1
    assert set(fold) == set(range(5))


def test_equal_seeds_deal_alike_and_others_do_not() -> None:
    y, groups = plate(0)
    assert np.array_equal(folds(y, groups, 4, 1), folds(y, groups, 4, 1))
    assert not np.array_equal(folds(y, groups, 4, 1), folds(y, groups, 4, 2))


def test_the_order_of_images_within_groups_does_not_matter() -> None:
    y, groups = plate(3)
    other = np.random.default_rng(0).permutation(y.size)
    assert np.array_equal(folds(y, groups, 4, 1)[other], folds(y[other], groups[other], 4, 1))


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [(1, InputError, "1 folds"), (4, DataError, "4 folds of 3 groups")],
)
def test_folds_that_cannot_be_are_refused(k: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        folds(np.zeros(9, int), np.arange(9) % 3, k, 0)


# labelled and validation -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_labelled_and_validation_are_apart_and_both_have_every_class(seed: int) -> None:
    y, groups = plate(seed)
    known = np.flatnonzero(y >= 0)
    labelled, validation = choose_labelled(y[known], groups[known], 60, seed)
    assert not set(labelled) & set(validation)
    assert set(y[known][labelled]) == set(y[known][validation]) == {0, 1, 2}
    assert labelled.size + validation.size == pytest.approx(60, abs=2)


def test_validation_has_groups_of_its_own_where_there_are_enough() -> None:
    groups = np.repeat(np.arange(20), 15)
    y = np.tile([0, 1, 2], 100)
    labelled, validation = choose_labelled(y, groups, 300, 0)
    assert not set(groups[labelled]) & set(groups[validation])
    assert validation.size == 60  # 0.2 * 300


def test_of_one_group_single_images_validate() -> None:
    y = np.tile([0, 1], 50)
    labelled, validation = choose_labelled(y, np.zeros(100, int), 100, 0)
    assert (labelled.size, validation.size) == (80, 20)


@pytest.mark.parametrize("validation", [0.2, 0.9])
def test_a_class_of_two_images_has_one_to_learn_from_and_one_to_choose_by(
    validation: float,
) -> None:
    y = np.repeat([0, 1], [50, 2])
    labelled, aside = choose_labelled(y, np.arange(52), 52, 0, validation)
    assert (y[labelled] == 1).sum() == (y[aside] == 1).sum() == 1
    assert set(labelled) | set(aside) == set(range(52))


def test_of_a_rare_class_two_are_labelled_and_chance_says_which() -> None:
    # 1 % of 20 images is none
    y = np.repeat([0, 1], [980, 20])
    chosen = set()
    for seed in range(10):
        labelled, aside = choose_labelled(y, np.arange(1000), 10, seed)
        shown = np.concatenate([labelled, aside])
        rare = shown[y[shown] == 1]
        assert rare.size == 2
        chosen |= set(rare.tolist())
    assert len(chosen) > 6


def test_without_a_validation_share_all_chosen_teach() -> None:
    labelled, validation = choose_labelled(np.tile([0, 1], 20), np.arange(40), 10, 0, 0.0)
    assert (labelled.size, validation.size) == (10, 0)


# parts ---------------------------------------------------------------------------------------


def some(n: int = 300, wells: int = 30) -> Examples:
    rng = np.random.default_rng(0)
    label = rng.choice(["a", "b", "c", "", "multi-label"], n, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    return examples(label.tolist(), [f"w{i % wells}" for i in range(n)])


def everyone(found: Parts) -> list[int]:
    return sorted(np.concatenate(found).tolist())


@pytest.mark.parametrize("seed", range(10))
def test_every_image_is_in_one_part_and_no_group_on_both_sides_of_the_test(seed: int) -> None:
    given = some()
    found = parts(given, CLASSES, labelled=0.1, seed=seed)
    assert everyone(found) == list(range(300))
    groups = given.groups()
    tested = set(groups[found.test]) | set(groups[found.left_out])
    assert tested
    assert not tested & set(groups[np.concatenate([found.labelled, found.unlabelled])])


def test_a_tenth_of_all_is_labelled_and_only_labelled_images_are_tested() -> None:
    given = some()
    found = parts(given, CLASSES, labelled=0.1)
    y = given.codes(CLASSES)
    assert found.labelled.size == 30
    assert (y[found.labelled] >= 0).all()
    assert (y[found.test] >= 0).all()
    assert (y[found.left_out] < 0).all()
    assert found.test.size + found.left_out.size == pytest.approx(30, abs=10)
    assert found.validation.size == 0


def test_without_a_labelled_share_all_labels_are_used() -> None:
    given = some()
    found = parts(given, CLASSES)
    assert (given.codes(CLASSES)[found.unlabelled] < 0).all()


def test_a_fold_is_the_test_part() -> None:
    given = some()
    fold = np.arange(300) % 30 == 4  # the well w4
    found = parts(given, CLASSES, fold=fold)
    assert set(found.test) | set(found.left_out) == set(np.flatnonzero(fold))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_labelled_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="labelled share"):
        parts(some(), CLASSES, labelled=share)


def test_a_split_column_is_kept_to() -> None:
    given = examples(
        ["a", "b", "a", "b", "", "a"],
        ["1", "1", "2", "3", "1", "4"],
        ["train", "train", "validation", "test", "train", "test"],
    )
    found = parts(given, CLASSES)
    assert found.labelled.tolist() == [0, 1]
    assert found.validation.tolist() == [2]
    assert found.test.tolist() == [3, 5]
    assert found.unlabelled.tolist() == [4]


def test_a_group_on_both_sides_of_a_split_column_is_refused() -> None:
    given = examples(["a"] * 4, ["1", "2", "2", "3"], ["train", "train", "test", "test"])
    with pytest.raises(DataError, match=r"1 groups are on both sides .* 2 in test and train"):
        parts(given, CLASSES)


def test_an_incomplete_split_column_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match="row 2 has the split ''"):
        check_splits(np.array(["train", "", "test"]), np.array(["1", "2", "3"]), "t")


def test_a_single_group_is_refused_unless_images_are_asked_for_by_name() -> None:
    given = examples(["a", "b"] * 20, ["well 1"] * 40)
    with pytest.raises(DataError, match="all images are of one group, 'well 1'"):
        parts(given, CLASSES)
    assert parts(given, CLASSES, by="image").test.size == 4


def named(*images: str, **columns: object) -> Examples:
    given = examples(["a", "b"] * (len(images) // 2))
    return replace(given, table=given.table.assign(image=list(images), **columns))


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["well00_frame000_colony001.tif", "well00_frame001_colony001.tif"], "well00"),
        (["a/Plate2_well_B3 1.tif", "a/Plate2_well_B3 2.tif"], "a/plate2_well_b3"),
        (["drug_f000.tif", "drug_f001.tif"], "drug"),  # as detection names frames
        (["movie/frame000.tif", "movie/frame001.tif"], "movie"),
    ],
)
def test_images_whose_names_say_one_well_are_not_dealt_out_one_by_one_unless_asked(
    names: list[str], series: str
) -> None:
    given = named(*names)
    reason = rf"2 images are of one well or movie, '{series}'; .*column group.*--split-by image"
    with pytest.raises(DataError, match=reason):
        check_grouped(given, "group")
    assert check_grouped(given, "image") == []
    # with groups, or with a split of the user's that is kept to, nothing is dealt out one by one
    assert check_grouped(named(*names, group="w"), "group") == []
    assert len(check_grouped(named(*names, split="train"), "group", keeps_split=True)) == 1
    with pytest.raises(DataError, match="of one well or movie"):
        check_grouped(named(*names, split="train"), "group")


@pytest.mark.parametrize(
    "names",
    [
        ["1.tif", "2.tif"],
        ["wells/1.tif", "wells/2.tif"],
        ["farewell1.tif", "farewell2.tif"],
        ["well00.tif", "well01.tif"],
    ],
)
def test_where_no_name_says_what_belongs_together_a_note_says_how_to(names: list[str]) -> None:
    (note,) = check_grouped(named(*names), "group")
    assert note.startswith("no image has a group: images of one well or movie could be on both")
    assert "column group (or well)" in note
    assert check_grouped(named(*names), "image") == []


def test_images_without_a_group_are_groups_of_their_own() -> None:
    given = examples(["a", "b", "a"], ["x", "", ""])
    assert np.unique(units(given, "group")).size == 3


def test_another_unit_than_group_or_image_is_refused() -> None:
    with pytest.raises(InputError, match="split by 'well'"):
        units(some(), "well")


def test_of_few_groups_one_is_the_test_part() -> None:
    # a tenth of four equal wells is less than half a well
    for seed in range(5):
        test = a_tenth(np.tile([0, 1], 20), np.arange(40) // 10, seed, "t")
        assert test.sum() == 10
        assert np.unique((np.arange(40) // 10)[test]).size == 1


def test_a_group_that_alone_has_a_class_is_never_the_test_part() -> None:
    # class 1 is in the last of three groups only
    y, groups = np.repeat([0, 0, 1], 10), np.repeat([0, 1, 2], 10)
    for seed in range(5):
        assert not a_tenth(y, groups, seed, "t")[groups == 2].any()


def test_too_few_groups_for_a_test_part_are_refused() -> None:
    # without either group a class would be missing
    with pytest.raises(DataError, match="no test part"):
        a_tenth(np.repeat([0, 1], 10), np.repeat([0, 1], 10), 0, "t")
