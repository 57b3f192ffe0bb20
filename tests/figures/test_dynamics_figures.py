"""Figures of dynamics show what they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from unstained.errors import InputError
from unstained.figures.dynamics import (
    autocorrelation_figure,
    correlation_graphs,
    spectrum_figure,
    trace_figure,
)
from unstained.figures.dynamics_snapshots import snapshot_figure
from unstained.figures.style import save_figure

NAMES = ("CD105", "CD29", "CD44")


def lines_of(ax, style):
    return [line for line in ax.lines if line.get_linestyle() == style]


def traces():
    """A mother of frames 0 to 4 without frame 2, and a daughter from frame 5."""
    time = np.array([0.0, 2, 6, 8, 10, 12])
    track = np.array([1, 1, 1, 1, 2, 2])
    return pd.DataFrame(
        {
            "marker": "CD29",
            "image": "a",
            "track": track,
            "parent": np.where(track == 2, 1, 0),
            "lineage": "a/1",
            "time_min": time,
            "value": 10.0 + time,
            "low": 9.0 + time,
            "high": 11.0 + time,
        }
    )


def test_a_gap_breaks_the_line_and_a_division_is_dotted() -> None:
    ax = trace_figure(traces()).axes[0]
    drawn = [line.get_xdata().tolist() for line in lines_of(ax, "-")]
    hours = [[0, 2 / 60], [6 / 60, 8 / 60], [10 / 60, 12 / 60]]
    assert drawn == [pytest.approx(part) for part in hours]
    (division,) = lines_of(ax, ":")
    assert division.get_ydata().tolist() == [18, 20]  # the mother's last, the daughter's first
    assert len(ax.collections) == 3  # a band for each part


def test_the_width_of_a_line_is_its_correlation() -> None:
    r = np.array([[1, 0.5, -0.25], [0.5, 1, 0.0], [-0.25, 0.0, 1]])
    figure = correlation_graphs({"overall": r}, NAMES)
    ax = figure.axes[0]
    edges = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert [line.get_linewidth() for line in edges] == [4, 2]  # of 8 points; 0 has none
    assert to_hex(edges[0].get_color()) != to_hex(edges[1].get_color())
    assert edges[0].get_linestyle() == "-"
    assert edges[1].get_linestyle() == "--"
    assert {"0.50", "-0.25", *NAMES} == {text.get_text() for text in ax.texts}


def test_graphs_stand_side_by_side() -> None:
    figure = correlation_graphs({"overall": np.eye(3), "fluctuation": np.eye(3)}, NAMES)
    assert [ax.get_title() for ax in figure.axes] == ["overall", "fluctuation"]


def curves(names):
    lag = np.arange(0, 100, 2.0)
    acf = np.exp(-lag / 40)
    return pd.concat(
        pd.DataFrame(
            {"marker": name, "lag_min": lag, "acf": acf, "low": acf - 0.1, "high": acf + 0.1}
        )
        for name in names
    )


def fits(names, tau=40.0):
    columns = {"tau_min": tau, "low": 30.0, "high": 55.0, "noise_share": 0.2, "head_min": 40.0}
    return pd.DataFrame([{"marker": name, **columns} for name in names])


def test_the_exponential_is_solid_where_it_was_fitted_and_dashed_beyond() -> None:
    figure = autocorrelation_figure(curves(NAMES), fits(NAMES))
    ax = figure.axes[0]
    (fitted,) = [line for line in lines_of(ax, "-") if len(line.get_xdata()) == 100]
    (beyond,) = lines_of(ax, "--")
    assert fitted.get_ydata()[0] == pytest.approx(0.8)  # 1 less the noise
    assert fitted.get_ydata()[-1] == pytest.approx(0.8 * np.exp(-1))
    assert fitted.get_xdata()[-1] == beyond.get_xdata()[0] == 40
    assert "τ = 40 min\n(30 to 55)\nnoise 20%" in [text.get_text() for text in ax.texts]


def test_without_a_correlation_time_there_is_no_exponential() -> None:
    figure = autocorrelation_figure(curves(NAMES[:1]), fits(NAMES[:1], tau=np.nan))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no correlation time"]


def test_periods_are_marked_in_the_spectrum(tmp_path) -> None:
    f = np.arange(1, 50) / 10
    spectra = pd.DataFrame(
        {
            "marker": "CD29",
            "frequency_per_h": f,
            "density": 1 / f,
            "expected": 1 / f,
            "lorentzian": 1 / f,
        }
    )
    periods = pd.DataFrame({"marker": ["CD29"], "period_min": [60.0], "p": [0.01]})
    figure = spectrum_figure(spectra, periods)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["60 min"]
    # 60 min is 1 per hour, where the density is 1
    assert ax.lines[-1].get_ydata()[0] == pytest.approx(1.6)
    assert save_figure(figure, tmp_path / "a.svg").stat().st_size > 1000


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        trace_figure(traces().iloc[:0])
    with pytest.raises(InputError, match="time_min"):
        trace_figure(traces().drop(columns="time_min"))
    with pytest.raises(InputError, match="graphs"):
        correlation_graphs({"overall": np.eye(2)}, NAMES)


def test_snapshots_stand_side_by_side_on_the_same_limits() -> None:
    rng = np.random.default_rng(0)
    phase = rng.random((3, 20, 30))
    stains = {"CD105": rng.random((3, 20, 30))}
    figure = snapshot_figure(phase, stains, time_min=np.array([0.0, 90, 180]), pixel_size_um=1.0)
    above = figure.axes[:3]
    assert [ax.get_title() for ax in above] == ["0 h", "1.5 h", "3 h"]
    assert len({ax.images[0].get_clim() for ax in above}) == 1
    with pytest.raises(InputError, match="CD105 of another shape"):
        snapshot_figure(phase, {"CD105": phase[:2]}, time_min=np.arange(3.0), pixel_size_um=1.0)
