"""Figures of predicted against measured cells: what is drawn is what was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import Collection, LineCollection

from unstained.errors import InputError
from unstained.figures.cells import bland_altman_figure, coverage_figure, totals_figure
from unstained.figures.style import save_figure
from unstained.statistics import Interval


def totals() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    measured = np.random.default_rng(0).normal(5000, 800, 80)
    return {"CD105": (measured * 1.1, measured), "CD29": (measured - 50, measured)}


def offsets(drawn: Collection) -> np.ndarray:
    return np.asarray(drawn.get_offsets())


def test_the_scatter_has_a_panel_a_marker_with_points_band_and_line(tmp_path: Path) -> None:
    predicted, measured = totals()["CD105"]
    at = np.array([3000.0, 8000.0])
    figure = totals_figure(totals(), {"CD105": (at, at - 500, at + 500)}, 0.6)
    first, second = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["CD105", "CD29"]
    points, band = first.collections
    # thousands, measured to the right
    np.testing.assert_allclose(offsets(points), np.column_stack([measured, predicted]) / 1e3)
    box = band.get_datalim(first.transData)
    assert (box.x0, box.x1, box.y0, box.y1) == pytest.approx((2.5, 8.5, 3, 8))
    assert len(second.collections) == 1  # no band was given
    assert "r = 1.00, slope 1.10\n80 cells" in first.texts[0].get_text()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "60% band",
        "equality",
        "fit",
    ]
    assert save_figure(figure, tmp_path / "a.svg").stat().st_size > 0


def test_a_band_without_an_end_is_not_drawn() -> None:
    at = np.array([3000.0, 8000.0])
    figure = totals_figure(totals(), {"CD105": (at, at - np.inf, at + np.inf)}, 0.99)
    assert len(figure.axes[0].collections) == 1


def test_differences_stand_over_means_with_their_limits() -> None:
    predicted, measured = totals()["CD29"]
    limits = (
        Interval(-50.0, -60.0, -40.0, 80),
        Interval(-100.0, -110.0, -90.0, 80),
        Interval(0.0, float("nan"), float("nan"), 80),
    )
    figure = bland_altman_figure({"CD29": (predicted, measured)}, {"CD29": limits})
    (ax,) = figure.axes
    expected = np.column_stack([measured - 25, np.full(80, -50.0)]) / 1e3
    np.testing.assert_allclose(offsets(ax.collections[0]), expected)
    heights = [np.asarray(line.get_ydata())[0] for line in ax.lines]
    assert heights == pytest.approx([0, -0.05, -0.1, 0])
    assert len(ax.patches) == 2  # an interval that is not known is not shaded


@pytest.mark.parametrize("markers", [1, 2])
def test_the_legend_lies_inside_the_figure(markers: int) -> None:
    names = [f"marker {i}" for i in range(markers)]
    limits = tuple(Interval(x, x - 1, x + 1, 80) for x in (0.0, -50.0, 50.0))
    figure = bland_altman_figure(
        {name: totals()["CD29"] for name in names}, dict.fromkeys(names, limits)
    )
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert len(legend.get_texts()) == 3


def test_coverage_has_a_point_with_interval_for_each_group() -> None:
    table = pd.DataFrame(
        {
            "marker": ["a", "a", "a", "b"],
            "group": ["g0", "g1", "(mean)", "g0"],
            "share": [0.5, np.nan, 0.6, 0.7],
            "low": [0.4, np.nan, 0.5, 0.6],
            "high": [0.6, np.nan, 0.7, 0.8],
        }
    )
    figure = coverage_figure(table, 0.6)
    first, second = figure.axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["g0", "(mean)"]
    segments = next(c for c in first.collections if isinstance(c, LineCollection)).get_segments()
    assert [(s[0][0], s[1][0]) for s in segments] == [(0.4, 0.6), (0.5, 0.7)]
    assert [text.get_text() for text in second.get_yticklabels()] == ["g0"]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError, match="no marker"):
        totals_figure({}, {}, 0.6)
    with pytest.raises(InputError, match="no group, share"):
        coverage_figure(pd.DataFrame({"marker": ["a"], "low": [0], "high": [1]}), 0.6)
    unknown = {"marker": ["a"], "group": "g0", "share": np.nan, "low": np.nan, "high": np.nan}
    with pytest.raises(InputError, match="no share"):
        coverage_figure(pd.DataFrame(unknown), 0.6)
