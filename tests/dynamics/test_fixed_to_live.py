"""Near and far frames, against SciPy's energy distance and known shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import energy_distance

from unstained.cell_table import label_free_features, new_cells
from unstained.dynamics.fixed_to_live import (
    ValiditySettings,
    validity,
)
from unstained.errors import DataError, InputError

Array = np.ndarray[Any, Any]


def _cells(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal([300 + 40 * shift, 2], [40, 0.5], (n, 2))
    return pd.DataFrame(values, columns=["area_um2", "aspect_ratio"])


def _movie(shifts: list[float], n: int = 40) -> tuple[pd.DataFrame, Array]:
    parts = [_cells(n, 100 + t, shift) for t, shift in enumerate(shifts)]
    return pd.concat(parts, ignore_index=True), np.repeat(np.arange(len(shifts)), n)


def test_frames_like_the_reference_are_inside():
    live, frame = _movie([0.0] * 12)
    result = validity(live, frame, _cells(400, 0))
    assert result.frames["far"].sum() <= 2
    assert result.frames["distance"].mean() == pytest.approx(0, abs=0.02)
    # by definition of the reach, one cell in twenty of the reference lies outside
    assert result.frames["outside"].mean() == pytest.approx(0.05, abs=0.03)
    assert result.verdict.startswith("inside the training distribution")


def test_frames_that_drift_away_are_far_from_the_frame_on_where_they_left():
    live, frame = _movie([0.0, 0.0, 0.0, 2.0, 2.0, 2.0])
    result = validity(live, frame, _cells(400, 0))
    assert result.frames["far"].tolist() == [False] * 3 + [True] * 3
    assert result.frames["p_value"].to_numpy()[3:].max() == pytest.approx(1 / 501)
    assert "outside" in result.verdict
    assert result.shifts["feature"].iloc[0] == "area_um2"


def test_the_shift_of_a_feature_is_in_spreads_of_the_reference():
    live, frame = _movie([3.0] * 4, n=500)
    shifts = validity(live, frame, _cells(1000, 0)).shifts.set_index("feature")["shift"]
    # moved by 3 * 40 um2 at a standard deviation of 40 um2
    assert shifts["area_um2"] == pytest.approx(3, abs=0.2)
    assert shifts["aspect_ratio"] == pytest.approx(0, abs=0.2)


def test_the_distance_is_scipys_energy_distance_squared_in_one_dimension():
    reference, live = _cells(900, 1)[["area_um2"]], _cells(800, 2, 1.0)[["area_um2"]]
    result = validity(live, np.zeros(800, int), reference)
    center = reference["area_um2"].median()
    spread = 1.4826 * (reference["area_um2"] - center).abs().median()
    a, b = (((part["area_um2"] - center) / spread).to_numpy() for part in (live, reference))
    # SciPy's is its root, with each cell paired with itself too: a bias of E|X - X'| / n, 0.003
    assert result.frames["distance"].iloc[0] == pytest.approx(energy_distance(a, b) ** 2, rel=0.02)


def test_groups_that_differ_among_themselves_widen_the_limit():
    rng = np.random.default_rng(5)
    parts = [_cells(40, 200 + i, shift) for i, shift in enumerate(rng.normal(0, 1, 20))]
    reference, groups = pd.concat(parts, ignore_index=True), np.repeat(np.arange(20), 40)
    live, frame = _movie([1.0])
    of_groups = validity(live, frame, reference, groups=groups)
    of_cells = validity(live, frame, reference)
    assert of_cells.frames["far"].all()
    assert not of_groups.frames["far"].any()
    assert of_groups.frames["limit"].iloc[0] > 3 * of_cells.frames["limit"].iloc[0]


def test_groups_smaller_than_frames_are_said_to_make_a_wide_limit() -> None:
    reference, groups = _cells(200, 0), np.repeat(np.arange(20), 10)
    live, frame = _movie([0.0])
    verdict = validity(live, frame, reference, groups=groups).verdict
    assert "groups have fewer cells (10) than frames (40)" in verdict


def test_groups_too_small_to_be_compared_do_not_count() -> None:
    # two groups of 40 cells, one of 3
    reference, groups = _cells(83, 0), np.repeat([0, 1, 2], [40, 40, 3])
    live, frame = _movie([0.0])
    assert validity(live, frame, reference, groups=groups).groups == 2
    with pytest.raises(DataError, match="1 groups of the reference have 5 cells"):
        validity(live, frame, reference[40:], groups=groups[40:])


def test_features_that_one_side_lacks_or_that_are_constant_are_named():
    reference = _cells(100, 0).assign(flat=1.0, only_here=2.0)
    live, frame = _movie([0.0])
    result = validity(live.assign(flat=1.0), frame, reference)
    assert set(result.left_out) == {"flat", "only_here"}


def test_frames_with_few_cells_have_no_distance():
    live, frame = _movie([0.0, 0.0])
    few = np.r_[0:40, 40:43]
    result = validity(live.iloc[few], frame[few], _cells(100, 0))
    assert result.frames["frame"].tolist() == [0]
    with pytest.raises(DataError, match="no frame has 5 cells"):
        validity(live.iloc[:3], frame[:3], _cells(100, 0))


def test_frames_and_cells_that_are_left_out_are_counted():
    # frames 0 (40 cells, one without a feature), 1 (3 cells); no cell in frame 2 of the movie
    live, frame = _movie([0.0, 0.0])
    few = np.r_[0:40, 40:43]
    live, frame = live.iloc[few].reset_index(drop=True), frame[few]
    live.loc[7, "area_um2"] = np.nan
    result = validity(live, frame, _cells(100, 0), all_frames=[0, 1, 2])
    assert result.few == (1, 2)
    assert result.incomplete == 1
    assert result.frames["cells"].tolist() == [39]
    assert " of 1 judged frames beyond the limit" in result.verdict


def test_a_small_or_constant_reference_is_refused():
    live, frame = _movie([0.0])
    with pytest.raises(DataError, match="10 reference cells"):
        validity(live, frame, _cells(10, 0))
    with pytest.raises(DataError, match="no varying feature"):
        validity(live, frame, _cells(100, 0).assign(area_um2=1.0, aspect_ratio=1.0))


def test_lengths_that_do_not_fit_are_refused():
    live, frame = _movie([0.0])
    with pytest.raises(InputError, match="39 frames for 40"):
        validity(live, frame[:39], _cells(100, 0))


def test_too_few_draws_for_the_level_are_refused():
    with pytest.raises(InputError, match="10 draws"):
        ValiditySettings(draws=10)


def test_cells_are_described_by_shape_and_label_free_channel_but_not_by_stains():
    obs = pd.DataFrame(
        {
            "image": ["a"] * 2,
            "frame": 0,
            "time_s": 0.0,
            "label": [1, 2],
            "track": 0,
            "parent": 0,
            "y_um": 0.0,
            "x_um": 0.0,
            "border": False,
            "neighbors": 0,
        }
    )
    names = ["CD105", "phase", "area_um2"]
    var = pd.DataFrame({"kind": ["marker", "image", "shape"], "unit": ""}, index=names)
    columns = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=names)
    table = new_cells(obs, columns, var, {"sd": np.full((2, 3), 7.0)})
    features = label_free_features(table)
    assert features.columns.tolist() == ["area_um2", "image0 sd"]
    assert features["area_um2"].tolist() == [2, 5]
    with pytest.raises(DataError, match="no shape features"):
        label_free_features(table[:, ["CD105"]])


def test_a_feature_that_few_reference_cells_have_is_named() -> None:
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"area_um2": rng.normal(size=40), "nucleus": np.arange(40.0)})
    reference.loc[5:, "nucleus"] = np.nan
    live = pd.DataFrame({"area_um2": rng.normal(size=9), "nucleus": np.arange(9.0)})
    with pytest.raises(DataError, match="nucleus is known of 5"):
        validity(live, np.zeros(9, int), reference)
