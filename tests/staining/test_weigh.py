"""Pairs weighted for other cells, of which no stain is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from unstained.errors import DataError
from unstained.images import Pairs, label_free_fields
from unstained.learning.augment import Augmentation
from unstained.learning.networks import Generator, NetworkSpec
from unstained.staining import Panel, TrainSettings, weigh
from unstained.staining.calibrate import calibrated
from unstained.staining.normalize import MarkerSpec, Normalization, Statistics
from unstained.staining.panel import Member
from unstained.staining.samples import load_scenes
from unstained.staining.task import StainingTask

SIDE, INNER = 8, slice(2, 6)  # px: a square of 4 x 4 in a cell's image


class _Same(Generator):
    """Predicts the plane that it is given."""

    stride, halo = 1, 0
    spec = NetworkSpec("compact", 1, 1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))  # tells the device

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes


def _panel() -> Panel:
    as_it_is = Normalization("dataset", Statistics((0.0,), (1.0,)))
    marker = MarkerSpec("A", 0.0, 1.0, "FFFFFF")
    return Panel((marker,), (Member(_Same(), ("A",)),), as_it_is)


@pytest.fixture
def cells(tmp_path: Path) -> Pairs:
    """320 cells with a stain of 10 or 20 a pixel; in the test part nine in ten have 10.

    The phase image shows the stain with an error of 4 a pixel, the same all over a cell. There
    is no file with the stain of the test part.
    """
    rng = np.random.default_rng(0)
    level = np.concatenate([np.tile([10.0, 20.0], 110), np.repeat([10.0, 20.0], [90, 10])])
    split = np.repeat(["train", "validation", "test"], [120, 100, 100])
    phase = np.zeros((SIDE, SIDE * level.size), np.float32)
    stain = np.zeros_like(phase)
    for i, amount in enumerate(level):
        at = INNER, slice(SIDE * i + INNER.start, SIDE * i + INNER.stop)
        stain[at], phase[at] = amount, amount + 4 * rng.standard_normal()
    tifffile.imwrite(tmp_path / "phase.tif", phase)
    tifffile.imwrite(tmp_path / "stain.tif", stain)
    table = pd.DataFrame(
        {
            "phase": str(tmp_path / "phase.tif"),
            "stain": [str(tmp_path / ("none.tif" if s == "test" else "stain.tif")) for s in split],
            "marker": "A",
            "group": [f"cell {i}" for i in range(level.size)],
            "split": split,
            "region": [f"0:{SIDE},{SIDE * i}:{SIDE * (i + 1)}" for i in range(level.size)],
            "cell": [str(i) for i in range(level.size)],
            "level_of_stain": level,
        }
    )
    return Pairs(table, tmp_path, "cells")


def test_pairs_get_the_mix_of_cells_whose_stain_is_not_read(cells: Pairs) -> None:
    found = weigh(_panel(), cells, cells.of_split("test").fields())
    table = found.pairs.table
    taught = table[table["split"] != "test"]
    share = taught.loc[taught["level_of_stain"] == 10, "weight"].sum() / taught["weight"].sum()
    assert share == pytest.approx(0.9, abs=0.05)  # half of them are so without weights
    assert taught.groupby("split")["weight"].mean().to_numpy() == pytest.approx([1, 1], abs=1e-3)
    assert table.loc[table["split"] == "test", "weight"].isna().all()
    assert (found.new, found.unlike, found.known) == (100, 0, 120)
    # 16 px of 10 and 20: 240 on average; nine in ten of 10: 176
    assert found.mean_before["A"] == pytest.approx(240)
    assert found.mean_after["A"] == pytest.approx(176, abs=8)
    # shares of 0.9 and 0.1 where both have a half: 120 / (2 (0.9^2 + 0.1^2)) = 73
    assert found.alike == pytest.approx(73, abs=9)


def test_a_folder_of_images_serves_as_the_new_cells(cells: Pairs, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    montage = tifffile.imread(tmp_path / "phase.tif")
    for i in range(220, 320):
        tifffile.imwrite(folder / f"{i}.tif", montage[:, SIDE * i : SIDE * (i + 1)])
    from_files = weigh(_panel(), cells, label_free_fields([folder]))
    from_rows = weigh(_panel(), cells, cells.of_split("test").fields())
    weights = [found.pairs.table["weight"].dropna() for found in (from_files, from_rows)]
    assert weights[0].to_numpy() == pytest.approx(weights[1].to_numpy())


def test_training_and_validation_pairs_each_get_the_new_mix(cells: Pairs) -> None:
    # of the training cells nine in ten are small, of the validation cells three; half are new
    table = cells.table
    small, split = table["level_of_stain"] == 10, table["split"]
    rare = table.index % 10 == 1
    kept = (split == "test") & (small & (table.index < 230) | ~small)
    kept |= (split == "train") & (small | rare)
    kept |= (split == "validation") & (~small | (table.index % 4 == 0))
    chosen = replace(cells, table=table[kept])
    found = weigh(_panel(), chosen, chosen.of_split("test").fields()).pairs.table
    for part in ("train", "validation"):
        own = found[found["split"] == part]
        share = own.loc[own["level_of_stain"] == 10, "weight"].sum() / own["weight"].sum()
        assert share == pytest.approx(0.5, abs=0.17)  # of 20 new cells


def test_a_pair_that_is_never_drawn_stays_so(cells: Pairs) -> None:
    never = replace(cells, table=cells.table.assign(weight=np.where(cells.table.index < 7, 0, 1)))
    found = weigh(_panel(), never, cells.of_split("test").fields())
    assert (found.pairs.table["weight"][:7] == 0).all()
    assert found.known == 113


def test_whole_images_are_not_taken_for_cells(cells: Pairs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is 8 x 2560 px, and the pairs are images of one cell"):
        weigh(_panel(), cells, label_free_fields([tmp_path / "phase.tif"]))


def test_an_image_of_other_planes_is_named(cells: Pairs, tmp_path: Path) -> None:
    both = ";".join([str(tmp_path / "phase.tif")] * 2)
    lines = [f'"{both}","0:8,{SIDE * i}:{SIDE * (i + 1)}"' for i in range(3)]
    (tmp_path / "new.csv").write_text("\n".join(["phase,region", *lines]))
    with pytest.raises(DataError, match=r"phase\.tif.* planes"):
        weigh(_panel(), cells, label_free_fields([tmp_path / "new.csv"]))


def test_another_model_or_a_mix_of_cells_and_fields_is_refused(cells: Pairs) -> None:
    new = cells.of_split("test").fields()
    other = replace(cells, table=cells.table.assign(marker="B"))
    with pytest.raises(DataError, match="no train pairs of this model's markers"):
        weigh(_panel(), other, new)
    mixed = replace(cells, table=cells.table.assign(cell=["", *cells.table["cell"][1:]]))
    with pytest.raises(DataError, match="219 of 220 fields are single cells"):
        weigh(_panel(), mixed, new)


def test_too_few_pairs_or_none_to_weigh_for_are_told(cells: Pairs) -> None:
    new = cells.of_split("test").fields()
    with pytest.raises(DataError, match="no images to weight the pairs for"):
        weigh(_panel(), cells, [])
    few = cells.table[(cells.table["split"] != "validation") | (cells.table.index < 130)]
    with pytest.raises(DataError, match="10 known amounts") as told:
        weigh(_panel(), replace(cells, table=few), new)
    assert told.value.file == "cells"


def test_pairs_that_lack_a_marker_are_not_weighed_by_it(cells: Pairs) -> None:
    both = pd.concat([cells.table, cells.table[:5].assign(marker="B")])
    two = (MarkerSpec("A", 0.0, 1.0, "FFFFFF"), MarkerSpec("B", 0.0, 1.0, "FFFFFF"))
    panel = Panel(two, (Member(_Same(), ("A", "B")),), _panel().normalization)
    with pytest.raises(DataError, match="215 of 220 fields lack one of A, B"):
        weigh(panel, replace(cells, table=both), cells.of_split("test").fields())


def _checks(tmp_path: Path, weights: tuple[float, float]) -> Pairs:
    """Two validation fields: the stain is twice the phase image in one, thrice in the other."""
    rng = np.random.default_rng(0)
    rows = []
    for name, factor, weight in (("two", 2, weights[0]), ("three", 3, weights[1])):
        phase = rng.uniform(1, 2, (32, 32)).astype(np.float32)
        tifffile.imwrite(tmp_path / f"{name}.tif", phase)
        tifffile.imwrite(tmp_path / f"{name}_a.tif", factor * phase)
        files = [str(tmp_path / f"{name}{end}.tif") for end in ("", "_a")]
        rows.append((*files, "A", name, "validation", weight))
    columns = ["phase", "stain", "marker", "group", "split", "weight"]
    return Pairs(pd.DataFrame(rows, columns=columns), tmp_path)


@pytest.mark.parametrize(("weights", "factor"), [((1.0, 0.0), 2), ((0.0, 5.0), 3)])
def test_units_are_those_of_the_validation_pairs_that_count(
    tmp_path: Path, weights: tuple[float, float], factor: int
) -> None:
    panel = calibrated(_panel(), _checks(tmp_path, weights), "cpu")
    assert panel.markers[0].scale == pytest.approx(factor, rel=1e-3)


def test_the_validation_score_counts_pairs_by_weight(tmp_path: Path) -> None:
    # pixels of slope 2 and 3 together correlate less than those of one field alone, which are r = 1
    settings = TrainSettings(batch=2, patch=32)

    def score(*weights: float) -> float:
        fields = _checks(tmp_path, (weights[0], weights[1])).fields()
        way = Normalization("dataset", Statistics((0.0,), (1.0,)))
        scenes = load_scenes(fields, ("A",), tmp_path / "cache", normalization=way)
        marker = (MarkerSpec("A", 0.0, 1.0, "FFFFFF"),)
        task = StainingTask(_Same(), settings, marker, scenes, scenes, Augmentation())
        return task.validate(task.network)["r_s"]

    assert score(1.0, 0.0) == pytest.approx(1, abs=1e-5)
    assert score(1.0, 1.0) < 0.99
    assert score(1.0, 0.01) > score(1.0, 1.0)
