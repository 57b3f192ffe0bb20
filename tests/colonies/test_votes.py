"""Votes: majorities, ties, agreement, and the way into a table without losing anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from statsmodels.stats import inter_rater
from typer.testing import CliRunner

from unstained.cli.colonies_detect import votes as votes_command
from unstained.colonies.detection_folder import read_colonies
from unstained.colonies.votes import fleiss_kappa, merge_votes, votes_into_detection
from unstained.errors import DataError, FileError, InputError
from unstained.images.tables import read_table


def table(text: str) -> pd.DataFrame:
    """Votes from ``image annotator label`` by line."""
    return pd.DataFrame(
        [line.split() for line in text.strip().splitlines()],
        columns=["image", "annotator", "label"],
    )


THREE = """
    a ann dense
    a ben dense
    a cleo spread
    b ann spread
    b ben spread
    b cleo spread
    c ann dense
    c ben spread
    c cleo debris
    d ann dense
    d ben spread
"""


def labels_of(votes: pd.DataFrame) -> dict[str, str]:
    merged = merge_votes(votes).labels
    return dict(zip(merged["image"], merged["label"], strict=True))


# merging -----------------------------------------------------------------------------------


def test_the_most_votes_win_and_ties_have_no_label() -> None:
    result = merge_votes(table(THREE))
    assert result.labels.to_numpy().tolist() == [
        ["a", "dense", 3, 2 / 3, False],
        ["b", "spread", 3, 1.0, False],
        ["c", "", 3, 1 / 3, True],
        ["d", "", 2, 1 / 2, True],
    ]


def test_disagreements_show_who_said_what() -> None:
    found = merge_votes(table(THREE)).disagreements
    assert list(found.columns) == ["image", "label", "ann", "ben", "cleo"]
    assert found.to_numpy().tolist() == [
        ["a", "dense", "dense", "dense", "spread"],
        ["c", "", "dense", "spread", "debris"],
        ["d", "", "dense", "spread", ""],
    ]


def test_annotators_are_compared_with_the_majority_of_the_others() -> None:
    found = merge_votes(table(THREE)).annotators.set_index("annotator")
    # ann: on a the others are 1:1, on b both spread (agrees), on c 1:1, on d ben alone (differs)
    assert found.loc["ann"].tolist() == [4, 2, 0.5]
    # cleo: a: both dense (differs), b: both spread (agrees), c: 1:1
    assert found.loc["cleo"].tolist() == [3, 2, 0.5]


def test_multi_label_is_an_outcome_of_its_own() -> None:
    votes = table("a ann dense+spread\na ben multi-label\na cleo dense\nb ann Multi-Label")
    assert labels_of(votes) == {"a": "multi-label", "b": "multi-label"}
    # the same class twice is one class
    assert labels_of(table("a ann dense+dense")) == {"a": "dense"}


def test_a_vote_given_twice_counts_once() -> None:
    merged = merge_votes(table("a ann dense\na ann dense\na ben spread")).labels
    assert merged["tie"].tolist() == [True]
    assert merged["votes"].tolist() == [2]


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        (table("a ann dense\na ann spread"), "ann on a: dense and spread"),
        (table("a ann dense").rename(columns={"label": "class"}), "lacks label"),
        (table("a ann dense").assign(mood="good"), "unknown mood"),
        (table("a ann dense\nb ann x").replace("x", " "), "empty cell: rows 2"),
        (table("a ann dense").assign(annotator=None), "empty cell: rows 1"),
        (table("a ann dense\nb ben Dense"), "capitals"),
        (table(""), "no votes"),
    ],
)
def test_votes_that_cannot_be_merged_say_why(votes: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        merge_votes(votes)


def test_labels_outside_the_classes_are_refused() -> None:
    merge_votes(table("a ann dense\nb ann dense+spread"), ["dense", "spread"])
    with pytest.raises(DataError, match="unknown labels sprad"):
        merge_votes(table("a ann dense+sprad"), ["dense", "spread"])


# kappa -------------------------------------------------------------------------------------


def test_kappa_by_hand_with_unequal_numbers_of_votes() -> None:
    # P of image 1: (4 + 1 - 3) / 6 = 1/3; of image 2: 1; image 3 has one vote, so no pair.
    # p = (4/5, 1/5), P_e = 17/25; (2/3 - 17/25) / (8/25) = -1/24
    counts = np.array([[2, 1], [2, 0], [0, 1]])
    assert fleiss_kappa(counts) == pytest.approx(-1 / 24)


def test_kappa_equals_that_of_statsmodels_where_all_vote() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 80)
    votes = np.where(rng.random((80, 5)) < 0.6, truth[:, None], rng.integers(0, 4, (80, 5)))
    counts, _ = inter_rater.aggregate_raters(votes)
    assert fleiss_kappa(counts) == pytest.approx(inter_rater.fleiss_kappa(counts))


def test_kappa_is_1_for_agreement_0_by_chance_and_unknown_without_pairs_or_choice() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == 1
    assert fleiss_kappa(np.array([[1, 1], [1, 1], [2, 0], [0, 2]])) == pytest.approx(0)
    assert np.isnan(fleiss_kappa(np.array([[1, 0], [0, 1]])))
    assert np.isnan(fleiss_kappa(np.array([[3, 0], [2, 0]])))
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1
    for wrong in ([[-1, 3], [0, 3]], [0.5, 3.0], [3, 0]):
        with pytest.raises(InputError, match=r"give \(images, categories\) counts"):
            fleiss_kappa(wrong)


def test_kappa_is_told_in_words() -> None:
    agreed = merge_votes(table("a ann x\na ben x\nb ann y\nb ben y"))
    assert agreed.kappa_in_words() == "almost perfect agreement beyond chance"
    assert "cannot be told" in merge_votes(table("a ann x")).kappa_in_words()


# files -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three detected colonies."""
    out = tmp_path / "found"
    out.mkdir()
    ids = [f"well00_f000_c00{n}" for n in (1, 2, 3)]
    pd.DataFrame({"id": ids, "area_px": [1, 2, 3]}).to_parquet(out / "colonies.parquet")
    return out


def write(path: Path, text: str) -> Path:
    path.write_text("image,annotator,label\n" + "\n".join(text.split()), encoding="utf-8")
    return path


def test_votes_reach_the_rows_they_name(folder: Path, tmp_path: Path) -> None:
    csv = write(
        tmp_path / "votes.csv",
        "crops/well00_f000_c003.png,ann,dense well00_f000_c003,ben,dense well00_f000_c001,ann,x",
    )
    labelled = votes_into_detection(folder, csv)
    found = read_colonies(folder)
    assert found["label"].tolist() == ["x", "", "dense"]
    assert found["votes"].tolist() == [1, 0, 2]
    assert found["agreement"].tolist() == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert found["area_px"].tolist() == [1, 2, 3]
    assert labelled.disagreements.is_file()


def test_later_votes_add_to_earlier_ones(folder: Path, tmp_path: Path) -> None:
    votes_into_detection(folder, write(tmp_path / "1.csv", "well00_f000_c001,ann,dense"))
    votes_into_detection(folder, write(tmp_path / "2.csv", "well00_f000_c002,ann,spread"))
    assert read_colonies(folder)["label"].tolist() == ["dense", "spread", ""]


def test_votes_for_images_that_do_not_exist_change_nothing(folder: Path, tmp_path: Path) -> None:
    before = (folder / "colonies.parquet").read_bytes()
    csv = write(tmp_path / "votes.csv", "well00_f000_c001,ann,dense well09_f000_c001,ann,dense")
    with pytest.raises(DataError, match="well09_f000_c001; nothing was written"):
        votes_into_detection(folder, csv)
    assert (folder / "colonies.parquet").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["colonies.parquet"]


def test_two_names_of_one_image_are_one_image(folder: Path, tmp_path: Path) -> None:
    csv = write(tmp_path / "v.csv", "well00_f000_c001,ann,dense well00_f000_c001.png,ann,spread")
    with pytest.raises(DataError, match="two ways"):
        votes_into_detection(folder, csv)


def test_a_folder_of_images_gets_a_manifest(tmp_path: Path) -> None:
    images = tmp_path / "crops"
    images.mkdir()
    for name in ("a.png", "._a.png", "b.png", "a_mask.png", "b_labels.tif"):
        (images / name).write_bytes(b"")
    labelled = votes_into_detection(images, write(tmp_path / "votes.csv", "a,ann,dense"))
    assert labelled.table == images / "manifest.csv"
    assert labelled.table.read_text().splitlines() == [
        "image,label,votes,agreement",
        "a.png,dense,1,1.0",
        "b.png,,0,",
    ]
    assert labelled.notes == (
        "2 files were left out: their names say that they hold labels or masks",
    )


def test_a_manifest_keeps_its_columns_and_its_own_labels(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image;label;group\ncrops/a.png;;w1\ncrops/b.png;spread;w2\n")
    votes_into_detection(manifest, write(tmp_path / "votes.csv", "a.png,ann,dense"))
    found = read_table(manifest)
    assert found["label"].tolist() == ["dense", "spread"]
    assert found["group"].tolist() == ["w1", "w2"]


@pytest.mark.parametrize(
    ("separator", "encoding", "begins"),
    [(";", "utf-8-sig", b"\xef\xbb\xbfimage;"), ("\t", "utf-8", b"image\t")],
)
def test_a_manifest_stays_as_its_program_reads_it(
    separator: str, encoding: str, begins: bytes, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"image{separator}well\na.png{separator}w1\n", encoding)
    votes_into_detection(manifest, write(tmp_path / "votes.csv", "a.png,ann,dense"))
    assert manifest.read_bytes().startswith(begins)
    row = manifest.read_text(encoding).splitlines()[1]
    assert row.split(separator) == ["a.png", "w1", "dense", "1", "1.0"]


def test_labels_that_no_vote_gave_are_not_overwritten(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image,label\na.png,spread\n")
    with pytest.raises(DataError, match="would be lost"):
        votes_into_detection(manifest, write(tmp_path / "votes.csv", "a.png,ann,dense"))
    assert "spread" in manifest.read_text()


def test_a_file_name_that_two_images_share_names_neither(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image\nw1/a.png\nw2/a.png\n")
    with pytest.raises(DataError, match="not in"):
        votes_into_detection(manifest, write(tmp_path / "1.csv", "a.png,ann,dense"))
    votes_into_detection(manifest, write(tmp_path / "2.csv", "w2/a.png,ann,dense"))
    assert read_table(manifest)["label"].tolist() == ["", "dense"]


@pytest.mark.parametrize("vote", ["w2/a.png", "/home/plate/w2/a.png", "w2\\a.png", "w2/a"])
def test_a_vote_does_not_go_to_another_folder_s_image(vote: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image\nplate/w1/a.png\n")
    with pytest.raises(DataError, match=r"not in .*; nothing was written"):
        votes_into_detection(manifest, write(tmp_path / "1.csv", f"{vote},ann,dense"))
    same = vote.replace("w2", "w1")
    votes_into_detection(manifest, write(tmp_path / "2.csv", f"{same},ann,dense"))
    assert read_table(manifest)["label"].tolist() == ["dense"]


def test_what_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    csv = write(tmp_path / "votes.csv", "a,ann,dense")
    with pytest.raises(FileError, match="is not there"):
        votes_into_detection(folder, tmp_path / "absent.csv")
    with pytest.raises(FileError, match="is not there"):
        votes_into_detection(tmp_path / "absent", csv)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither detected colonies"):
        votes_into_detection(tmp_path / "empty", csv)


def test_the_command_prints_counts_ties_and_kappa(folder: Path, tmp_path: Path) -> None:
    csv = write(
        tmp_path / "votes.csv",
        """well00_f000_c001,ann,dense well00_f000_c001,ben,dense
        well00_f000_c002,ann,spread well00_f000_c002,ben,spread
        well00_f000_c003,ann,dense well00_f000_c003,ben,spread""",
    )
    app = typer.Typer()
    app.command()(votes_command)
    result = CliRunner().invoke(app, [str(folder), "--votes", str(csv)])
    assert result.exit_code == 0, result.output
    # P = (1 + 1 + 0) / 3, P_e = 1/2: kappa = (2/3 - 1/2) / (1/2) = 1/3
    assert "Fleiss' kappa: 0.33, fair agreement beyond chance" in result.output
    assert "  dense: 1\n  spread: 1\n  tie, no label: 1 (well00_f000_c003)" in result.output
    assert read_colonies(folder)["label"].tolist() == ["dense", "spread", ""]
