"""What the figures of dynamics inside cells show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from unstained.errors import InputError
from unstained.figures.kymographs import (
    division_figure,
    kymograph_figure,
    validity_figure,
    wave_figure,
)
from unstained.figures.style import PALETTE, save_figure


def _profile() -> np.ndarray:
    values = np.add.outer(np.arange(12.0), np.arange(8.0))
    values[:, 0] = np.nan
    return values


def _kymograph(**other):
    return kymograph_figure(
        {"CD105": _profile()},
        {"CD105 - STRO-1": _profile() - 9},
        time_min=2.0 * np.arange(12),
        position=np.arange(8.0) - 4,
        **other,
    )


def _peaks(significant: bool = True) -> pd.DataFrame:
    row = ("CD105", 120.0, 40.0, 1 / 3, significant)
    columns = ["marker", "period_min", "period_um", "velocity_um_per_min", "significant"]
    return pd.DataFrame([row], columns=columns)


def _waves(peaks: pd.DataFrame):
    frequency, wavenumber = np.arange(30) / 480, (np.arange(41) - 20) / 200
    power = np.full((30, 41), 1e-6)
    power[4, 25] = 1  # 1 / 120 per min, 1 / 40 per um
    power[12, 30] = 0.1
    return wave_figure(
        {"CD105": power},
        peaks,
        frequency_per_min={"CD105": frequency},
        wavenumber_per_um={"CD105": wavenumber},
    )


def test_a_kymograph_has_time_in_hours_across_and_position_upwards():
    figure = _kymograph()
    first, second = figure.axes[:2]
    shown = first.images[0]
    # 12 frames of 2 min, each drawn around its time; 8 positions of 1 um
    assert shown.get_extent() == pytest.approx([-1 / 60, 23 / 60, -4.5, 3.5])
    assert shown.origin == "lower"
    np.testing.assert_array_equal(shown.get_array().filled(np.nan), _profile().T)
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["CD105", "CD105 - STRO-1"]


def test_a_difference_is_drawn_evenly_around_zero_and_a_marker_is_not():
    figure = _kymograph()
    marker, difference = (ax.images[0].norm for ax in figure.axes[:2])
    assert difference.vmin == -difference.vmax
    assert marker.vmin > 0


def test_outside_of_the_cell_is_grey():
    assert _kymograph().axes[0].get_facecolor()[:3] == to_rgb("0.85")


def test_relative_positions_are_named_so():
    labels = [ax.get_ylabel() for ax in _kymograph(unit="length").axes]
    assert "position (share of length)" in labels


def test_kymographs_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="but not CD44"):
        kymograph_figure(
            {"CD44": np.ones((3, 3))}, {}, time_min=np.arange(4.0), position=np.arange(3.0)
        )


def test_a_period_is_marked_at_its_frequency_and_wavenumber():
    ax = _waves(_peaks()).axes[0]
    point = ax.lines[-1]
    # 60 / 120 per hour, 1000 / 40 per mm
    assert point.get_xydata().ravel() == pytest.approx([0.5, 25])
    assert point.get_markerfacecolor() == PALETTE[4]
    assert "1: 120 min, 40 µm" in [text.get_text() for text in ax.texts]


def test_a_period_that_noise_may_make_is_an_open_mark():
    assert _waves(_peaks(significant=False)).axes[0].lines[-1].get_markerfacecolor() == "none"


def test_what_periods_are_called_does_not_lie_on_their_points():
    # high frequencies of waves towards either end, as far right as the axes reach
    rows = [("CD105", 40.0, size, way, True) for size, way in ((25.0, 0.6), (26.0, -0.6))]
    peaks = pd.DataFrame([*_peaks().to_numpy().tolist(), *rows], columns=_peaks().columns)
    figure = _waves(peaks)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    said = next(text for text in ax.texts if "1: 120 min" in text.get_text())
    box = said.get_window_extent()
    points = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert len(points) == 3
    assert not any(box.contains(*ax.transData.transform(point)) for point in points)


def test_a_spectrum_is_drawn_without_a_period_too():
    none = pd.DataFrame([], columns=_peaks().columns)
    assert _waves(none).axes[0].images


def test_peaks_without_a_column_are_refused():
    with pytest.raises(InputError, match="no column velocity_um_per_min among marker"):
        _waves(_peaks().drop(columns="velocity_um_per_min"))


def _levels() -> pd.DataFrame:
    rows = [("A", 2.0, 1.0, 1.0), ("A", 4.0, 3.0, 1.0), ("A", 2.0, -1.0, 1.0)]
    return pd.DataFrame(rows, columns=["marker", "mother_level", "level_1", "level_2"])


def _results() -> pd.DataFrame:
    return pd.DataFrame(
        [("A", 0.25, 0.1, 0.4, 0.3)], columns=["marker", "asymmetry", "low", "high", "random"]
    )


def test_sisters_are_drawn_both_ways_round_and_daughters_against_their_mother():
    sisters, mothers, _ = division_figure(_levels(), _results()).axes
    # the median newborn is 1; the division with a negative level is left out
    drawn = sisters.collections[0].get_offsets().tolist()
    assert sorted(map(tuple, drawn)) == [(1, 1), (1, 1), (1, 3), (3, 1)]
    assert mothers.collections[0].get_offsets().tolist() == [[2, 2], [4, 4]]


def test_the_asymmetry_stands_beside_that_of_random_pairs():
    ax = division_figure(_levels(), _results()).axes[2]
    assert ax.lines[0].get_xdata().tolist() == [0.25]
    crosses = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [float(line.get_xdata()[0]) for line in crosses] == [0.3]


def _frames() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": [0, 1, 2],
            "distance": [0.0, 0.1, 0.9],
            "limit": 0.2,
            "far": [False, False, True],
            "outside": [0.0, 0.05, 0.5],
        }
    )


def test_far_frames_have_a_mark_of_their_own_and_time_is_in_hours():
    upper, lower = validity_figure(_frames(), frame_interval_s=1800).axes
    beyond = next(line for line in upper.lines if line.get_label() == "beyond")
    assert beyond.get_xydata().tolist() == [[1.0, 0.9]]
    assert lower.lines[0].get_ydata().tolist() == [0, 5, 50]
    assert lower.get_xlabel() == "time (h)"


def test_frames_that_are_not_judged_are_gaps_in_the_lines():
    upper, lower = validity_figure(_frames().assign(frame=[0, 3, 4]), few=(1, 2)).axes
    limit = next(line for line in upper.lines if line.get_label() == "limit")
    for line in (upper.lines[0], limit, lower.lines[0]):
        assert line.get_xdata().tolist() == [0, 1, 2, 3, 4]
        assert np.isnan(line.get_ydata()).tolist() == [False, True, True, False, False]


def test_all_figures_can_be_saved(tmp_path: Path):
    figures = (
        _kymograph(),
        _waves(_peaks()),
        division_figure(_levels(), _results()),
        validity_figure(_frames()),
    )
    for i, figure in enumerate(figures):
        for suffix in ("png", "svg"):
            assert save_figure(figure, tmp_path / f"{i}.{suffix}").stat().st_size > 1000
