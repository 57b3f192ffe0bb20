"""Scores of segmentations: counts derived by hand, pooled, and read from files.

Compared once with `stardist.matching.matching` 0.9.2 on the classical labels of
``usiigaci/train`` sets 02 and 13: the same true positives, accuracy and mean matched IoU at
thresholds 0.3, 0.5, 0.6 and 0.75.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from scipy.optimize import linear_sum_assignment
from typer.testing import CliRunner

from unstained.cells.matching import (
    average_precision,
    match_overlaps,
    overlaps_of,
    pool_scores,
    score_labels,
)
from unstained.cells.score import score_files, score_text
from unstained.cells.segmentation_folder import create_segmentation
from unstained.cli.cells_segment import score as score_command
from unstained.errors import DataError, FileError, InputError
from unstained.images import as_image


def rows(*lines: str) -> np.ndarray:
    """Labels as digits; a dot is background."""
    return np.array([[0 if c == "." else int(c) for c in line] for line in lines])


def random_labels(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 60), int)
    for number in rng.permutation(np.arange(1, 25)):
        y, x = rng.integers(0, 50, 2)
        labels[y : y + rng.integers(4, 14), x : x + rng.integers(4, 14)] = number
    return labels


def test_a_cell_shifted_by_one_of_four_pixels_has_iou_three_fifths() -> None:
    # shared 3, either 5
    overlaps = overlaps_of(rows("1111.."), rows(".2222."))
    assert overlaps.iou.tolist() == [3 / 5]
    assert (overlaps.truth.tolist(), overlaps.predicted.tolist()) == ([1], [2])


def test_average_precision_counts_matched_wrong_and_missed_once() -> None:
    truth = rows("1111.222.33")
    found = rows(".444.55....")
    # 1 with 4: 3/4. 2 with 5: 2/3. 3 is missed. At 0.5: 2 / (2 + 0 + 1); at 0.7: 1 / (1 + 1 + 2)
    assert average_precision(truth, found, [0.5, 0.7]) == pytest.approx([2 / 3, 1 / 4])


def test_a_cell_in_two_pieces_is_one_cell() -> None:
    truth = rows("11..11..22")
    found = rows("33..33..44")
    assert average_precision(truth, found, [0.99]).tolist() == [1.0]


def test_up_to_half_an_overlap_the_sum_of_iou_decides() -> None:
    # true 1 (6 px) with found 4 (5 of 7 px): 5/8; true 2 (4 px) with found 4 (2 px): 2/9;
    # true 1 with found 3 (1 px): 1/6. One-to-one: 1-4 alone, 5/8, or 1-3 and 2-4, 1/6 + 2/9
    truth = rows("1111112222")
    found = rows("344444 4..".replace(" ", "4"))
    match = match_overlaps(overlaps_of(truth, found), 0.1)
    assert (match.truth.tolist(), match.predicted.tolist()) == ([1], [4])
    assert match.iou.tolist() == [5 / 8]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.6])
def test_matching_in_groups_is_the_assignment_of_the_whole_matrix(
    seed: int, threshold: float
) -> None:
    truth, found = random_labels(seed), np.roll(random_labels(seed), 2, axis=1)
    overlaps = overlaps_of(truth, found)
    matrix = np.zeros((overlaps.truth.size, overlaps.predicted.size))
    matrix[overlaps.truth_index, overlaps.predicted_index] = overlaps.iou
    matrix[matrix < threshold] = 0
    wanted = matrix[linear_sum_assignment(matrix, maximize=True)].sum()
    match = match_overlaps(overlaps, threshold)
    assert match.iou.sum() == pytest.approx(wanted)
    assert np.unique(match.truth).size == match.truth.size
    assert np.unique(match.predicted).size == match.predicted.size


def test_iou_agrees_with_masks_compared_one_by_one() -> None:
    truth, found = random_labels(0), random_labels(7)
    overlaps = overlaps_of(truth, found)
    for i, j, iou in zip(overlaps.truth_index, overlaps.predicted_index, overlaps.iou, strict=True):
        a, b = truth == overlaps.truth[i], found == overlaps.predicted[j]
        assert iou == (a & b).sum() / (a | b).sum()


def test_numbers_do_not_matter() -> None:
    truth, found = random_labels(1), np.roll(random_labels(1), 1, axis=0)
    renamed = np.where(found > 0, 60_000 - 7 * found, 0).astype(np.uint16)
    assert np.array_equal(average_precision(truth, found), average_precision(truth, renamed))


def test_nothing_found_scores_0_and_nothing_there_is_not_defined() -> None:
    none, one = rows("...."), rows("11..")
    assert average_precision(one, none).tolist() == [0, 0]
    assert average_precision(none, one).tolist() == [0, 0]
    assert np.isnan(average_precision(none, none)).all()


def test_pooling_weighs_cells_and_the_mean_weighs_images() -> None:
    # image 1: 1 of 1 found; image 2: 1 of 3 found, nothing wrong
    first = score_labels(rows("11"), rows("11"))
    second = score_labels(rows("1.2.3"), rows("1...."))
    pooled = pool_scores([first, second])
    half = pooled.at[0]
    assert half.average_precision.estimate == pytest.approx(2 / 4)
    assert half.per_image.estimate == pytest.approx((1 + 1 / 3) / 2)
    assert (half.true_positives, half.false_positives, half.false_negatives) == (2, 0, 2)
    # a true cell without partner counts 0: (1 + 1 + 0 + 0) / 4; of the matched alone it is 1
    assert pooled.mean_iou.estimate == pytest.approx(1 / 2)
    assert half.matched_iou == 1
    # 1 and 1/3 without one of them: an error of 1/3, Student's t of one degree of freedom 12.7
    assert (half.average_precision.low, half.average_precision.high) == (0, 1)


def test_one_image_has_no_interval() -> None:
    pooled = pool_scores([score_labels(rows("11"), rows("11"))])
    assert np.isnan(pooled.at[0].average_precision.low)


def test_labels_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="same image"):
        overlaps_of(rows("11"), rows("111"))
    with pytest.raises(InputError, match="integer labels"):
        overlaps_of(rows("11"), np.ones((1, 2)))
    with pytest.raises(InputError, match="0 to 1"):
        match_overlaps(overlaps_of(rows("1"), rows("1")), 1.5)
    with pytest.raises(InputError, match="at least one pair"):
        pool_scores([])


# Files -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A segmentation folder of images a and b, and true labels of a and c."""
    truth = tmp_path / "truth"
    truth.mkdir()
    with create_segmentation(tmp_path / "seg", {"method": "test"}) as writer:
        for name, labels in (("a", rows("1111..")), ("b", rows("1111.."))):
            image = as_image(labels.astype(np.uint8), "YX")
            writer.add(name, image, None, [labels])
    for name in "ac":
        tifffile.imwrite(truth / f"{name}_labels.tif", rows("111222").astype(np.uint16))
    return tmp_path / "seg", truth


def test_images_are_matched_by_name_and_the_rest_is_told(files: tuple[Path, Path]) -> None:
    scored = score_files(*files, [0.5])
    # a: true 1 (3 px) in found 1 (4 px), 3/4; true 2 is missed
    assert [frame.image for frame in scored.frames] == ["a"]
    assert scored.pooled.at[0].average_precision.estimate == 1 / 2
    assert scored.pooled.mean_iou.estimate == pytest.approx(3 / 8)
    assert len(scored.notes) == 2


def test_truth_is_named_as_the_file_or_as_the_segmentation_folder_spells_it(tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    with create_segmentation(tmp_path / "seg", {}) as writer:
        for name in ("Set 03", "Set 06", "Feld A1 (kopie)"):
            writer.add(name, as_image(rows("11"), "YX"), None, [rows("11")])
    for name in ("Set 03", "Set-06_labels", "Feld A1 (kopie)_labels"):
        tifffile.imwrite(tmp_path / "true" / f"{name}.tif", rows("11").astype(np.uint8))
    scored = score_files(tmp_path / "seg", tmp_path / "true")
    assert [frame.image for frame in scored.frames] == ["Set-03", "Set-06", "Feld-A1-kopie"]


def test_a_movie_is_scored_against_frames_in_their_order(tmp_path: Path) -> None:
    movie = np.stack([rows("11..", "...."), rows("..22", "...."), rows("....", "..33")])
    (tmp_path / "true").mkdir()
    for t in range(3):
        name = f"t{(1, 2, 10)[t]}.tif"  # 10 comes after 2
        tifffile.imwrite(tmp_path / "true" / name, movie[t].astype(np.uint8))
    with create_segmentation(tmp_path / "seg", {}) as writer:
        writer.add("movie", as_image(movie.astype(np.uint8), "TYX"), None, movie)
    scored = score_files(tmp_path / "seg", tmp_path / "true")
    assert scored.pooled.at[1].true_positives == 3


def test_two_label_images_are_compared_whatever_their_names(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", rows("11..").astype(np.uint8))
    tifffile.imwrite(tmp_path / "y.tif", rows("22..").astype(np.uint8))
    assert score_files(tmp_path / "x.tif", tmp_path / "y.tif").pooled.mean_iou.estimate == 1


def test_folders_one_deep_are_named_by_folder_and_file(tmp_path: Path) -> None:
    for name in ("set01", "set02"):
        (tmp_path / "train" / name).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "train" / name / "raw.tif", rows("99"))
        tifffile.imwrite(tmp_path / "train" / name / "instances.tif", rows("12").astype(np.uint8))
    with create_segmentation(tmp_path / "seg", {}) as writer:
        for name in ("set02-raw", "set01-raw"):
            writer.add(name, as_image(rows("12"), "YX"), None, [rows("12")])
    scored = score_files(tmp_path / "seg", tmp_path / "train")
    assert [frame.image for frame in scored.frames] == ["set02-raw", "set01-raw"]


@pytest.mark.parametrize("images", [2, 5])
def test_few_images_give_no_interval(tmp_path: Path, images: int) -> None:
    for i in range(images):
        for side, labels in (
            ("found", rows("11..22")),
            ("true", rows("11..22" if i else "111111")),
        ):
            (tmp_path / side).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / side / f"{i}.tif", labels.astype(np.uint8))
    scored = score_files(tmp_path / "found", tmp_path / "true", [0.5])
    few = [note for note in scored.notes if "too few for intervals" in note]
    first = score_text(scored).splitlines()[1]
    assert bool(few) == (images == 2)
    assert ("(" in first) == (images == 5)


def test_no_common_name_says_which_there_are(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in "xy":
        tifffile.imwrite(other / f"{name}.tif", rows("111222").astype(np.uint16))
    with pytest.raises(DataError, match=r"no name is in both: labels are a, b .*, truth x, y"):
        score_files(files[0], other)
    with pytest.raises(FileError, match="does not exist"):
        score_files(files[0], tmp_path / "absent")


def test_the_command_prints_numbers_that_json_can_hold(files: tuple[Path, Path]) -> None:
    app = typer.Typer()
    app.command()(score_command)
    result = CliRunner().invoke(app, [*map(str, files), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["at"][0]["average_precision"]["estimate"] == 0.5
    assert told["at"][0]["average_precision"]["low"] is None  # one image
    plain = CliRunner().invoke(app, [*map(str, files), "--thresholds", "0.8"])
    assert "IoU 0.8: average precision 0.000, mean over" in plain.stdout
