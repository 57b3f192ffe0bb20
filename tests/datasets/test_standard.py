"""The standard pairs are the splits that the data sets' own README describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from unstained import datasets
from unstained.errors import InputError
from unstained.images.fields import Region

DataSets = Callable[[str], Path]


@pytest.fixture(scope="module")
def mlcp(data_set: DataSets) -> pd.DataFrame:
    data_set("mlcp")
    return datasets.standard_pairs("mlcp").table


def tile(montage: np.ndarray, region: str) -> np.ndarray:
    (y0, y1), (x0, x1) = (map(int, part.split(":")) for part in region.split(","))
    return montage[y0:y1, x0:x1]


@pytest.mark.parametrize("name", ["isl", "mlcp", "usiigaci"])
def test_a_bundle_holds_every_file_of_the_registry(data_set: DataSets, name: str) -> None:
    folder = data_set(name)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == {file.path for file in datasets.info(name).files}


def test_isl_tests_on_its_last_columns_and_guards_its_validation(data_set: DataSets) -> None:
    data_set("isl")
    pairs = datasets.standard_pairs("isl")
    assert pairs.markers == ("DAPI", "MAP2", "NFH")
    regions: dict[str, list[Region]] = {}
    seen = np.zeros((1024, 1024), int)
    for field in pairs.fields():
        assert field.region is not None
        assert set(field.stains) == set(pairs.markers)
        regions.setdefault(field.split, []).append(field.region)
        seen[field.region.slices] += 1
    assert (seen == 1).all()  # every pixel belongs to one part
    assert [str(region) for region in regions["test"]] == ["0:1024,768:1024"]
    (checked,) = regions["validation"]
    assert all(region.distance(checked) >= 16 for region in regions["train"])


def test_isl_reads_13_planes_in_the_order_of_focus(data_set: DataSets) -> None:
    folder = data_set("isl")
    planes = datasets.standard_pairs("isl").table["phase"].iloc[0].split(";")
    assert [Path(p) for p in planes] == [folder / f"phase_z{z:02}.png" for z in range(13)]


def test_mlcp_has_each_cell_once_and_tests_on_the_other_experiment(mlcp: pd.DataFrame) -> None:
    first = mlcp[mlcp["group"] == "experiment_1"]
    counts = first["phase_of_cycle"].value_counts().to_dict()
    assert counts == {
        "g1": 900, "s": 900, "g2": 900,
        "prophase": 606, "metaphase": 68, "anaphase": 15, "telophase": 27,
    }  # fmt: skip
    assert mlcp["cell"].is_unique
    assert set(first["split"]) == {"train", "validation"}
    assert set(mlcp.loc[mlcp["group"] == "experiment_2", "split"]) == {"test"}
    assert len(mlcp) == 3416 + 5 * 900 - 1


def test_mlcp_folds_are_even_in_all_and_within_each_phase(mlcp: pd.DataFrame) -> None:
    first = mlcp[mlcp["group"] == "experiment_1"]
    assert set(first["fold"].value_counts()) == {341, 342}  # 3416 over 10 folds
    per_phase = first.groupby(["phase_of_cycle", "fold"]).size().unstack(fill_value=0)
    assert ((per_phase.max(axis=1) - per_phase.min(axis=1)) <= 1).all()
    assert set(first.loc[first["split"] == "validation", "fold"]) == {"9"}


def test_mlcp_folds_are_drawn_and_always_the_same(mlcp: pd.DataFrame) -> None:
    g1 = mlcp.loc[mlcp["cell"].str.startswith("experiment_1/g1/"), "fold"].astype(int).to_numpy()
    # 90 of 900 cells in each fold; cut or dealt in turn, neighbors would differ by 0, or by 1
    steps = np.diff(g1) % 10
    assert np.bincount(steps, minlength=10).max() < 150  # 90 expected of each step
    again = datasets.standard_pairs("mlcp").table
    assert again["fold"].tolist() == mlcp["fold"].tolist()


def test_mlcp_regions_run_down_the_columns_and_leave_out_padding_and_copies(
    mlcp: pd.DataFrame,
) -> None:
    # the montage's last tile is padding: no cell equals it, and it stands right after the last,
    # but for a last cell that was imaged before
    copies = {"prophase": 0, "metaphase": 1, "telophase": 1}
    for phase_of_cycle, copied in copies.items():
        rows = mlcp[mlcp["phase_of_cycle"] == phase_of_cycle]
        montage = tifffile.imread(rows["stain"].iloc[0])
        padding = montage[-40:, -40:]
        assert not any(np.array_equal(tile(montage, r), padding) for r in rows["region"])
        n = len(rows) + copied
        after = montage[40 * (n % 30) :, 40 * (n // 30) :][:40, :40]
        assert np.array_equal(after, padding)
    assert "experiment_2/g1_2/0208" not in set(mlcp["cell"])


def test_mlcp_dna_doubles_from_g1_to_g2(mlcp: pd.DataFrame) -> None:
    # published medians of the tile's sum less its border's median: 139k, 184k, 252k
    for phase_of_cycle, median in {"g1": 139e3, "s": 184e3, "g2": 252e3}.items():
        rows = mlcp[(mlcp["phase_of_cycle"] == phase_of_cycle) & (mlcp["split"] != "test")]
        montage = tifffile.imread(rows["stain"].iloc[0]).astype(float)
        sums = []
        for region in rows["region"]:
            cell = tile(montage, region)
            border = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
            sums.append(cell.sum() - cell.size * np.median(border))
        assert np.median(sums) == pytest.approx(median, rel=0.005)


def test_a_set_without_stains_has_no_pairs() -> None:
    with pytest.raises(InputError, match="no training pairs in a data set 'usiigaci'"):
        datasets.standard_pairs("usiigaci")
