"""What the figures of heterogeneity show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage

from unstained.errors import InputError
from unstained.figures.heterogeneity import (
    Heatmap,
    cluster_heatmap,
    distribution_figure,
    readable,
)
from unstained.figures.heterogeneity_components import (
    Biplot,
    biplot,
    correlation_figure,
    explained_figure,
)
from unstained.figures.heterogeneity_groups import effects_figure, levels_figure, shares_figure

RNG = np.random.default_rng(0)


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_names_are_written_for_people():
    assert readable("nucleus_area_um2") == "nucleus area"
    assert readable("STRO-1") == "STRO-1"


def test_histograms_state_the_spread_and_hold_every_cell():
    values = {"A": np.append(RNG.normal(10, 2, 200), np.nan)}
    table = pd.DataFrame({"marker": ["A"], "sd_percent": [20.4], "low": [18.0], "high": [22.6]})
    ax = distribution_figure(values, table).axes[0]
    assert texts(ax) == ["SD 20 %\n[18, 23]\nn = 200"]
    heights = ax.patches[0].get_data().values
    assert heights.sum() == pytest.approx(100)


def test_rows_of_the_heatmap_follow_the_tree_of_variables():
    x = RNG.normal(size=(30, 4))
    trees = linkage(x, "ward"), linkage(x.T, "average", "correlation")
    names = ["a", "b_um", "c", "d"]
    figure = cluster_heatmap(Heatmap(x, names, *trees, np.ones(30, int)), markers=["c"])
    ax = figure.axes[0]
    order = leaves_list(trees[1])
    shown = [t.get_text() for t in ax.get_yticklabels()]
    assert shown == [readable(names[i]) for i in order]
    assert [t.get_fontweight() for t in ax.get_yticklabels()] == [
        "bold" if names[i] == "c" else "normal" for i in order
    ]
    picture = ax.collections[0].get_array()
    np.testing.assert_allclose(picture.reshape(4, 30), x[leaves_list(trees[0])][:, order].T)
    with pytest.raises(InputError, match="3 names"):
        cluster_heatmap(Heatmap(x, names[:3], *trees, np.ones(30, int)))


def test_arrows_of_a_biplot_end_at_their_correlations():
    scores = RNG.normal(size=(50, 2)) * (3, 1)
    r = np.array([[1.0, 0.0], [0.5, -0.5]])
    drawn = Biplot(scores, r, ["CD105", "area_um2"], np.array([0.6, 0.2]))
    ax = biplot(drawn, markers=["CD105"]).axes[0]
    ends = [line.get_xydata()[-1].tolist() for line in ax.lines if len(line.get_xdata()) == 2]
    assert [3.0, 0.0] in ends  # the circle of correlation 1 is at 3 SD
    assert [1.5, -1.5] in ends
    assert sorted(texts(ax)) == ["CD105", "area"]
    assert "60 %" in ax.get_xlabel()
    assert ax.get_title("left") == "50 cells"


def test_names_of_a_biplot_do_not_lie_on_one_another():
    r = np.column_stack([np.full(9, 0.9), np.linspace(-0.02, 0.02, 9)])
    drawn = Biplot(RNG.normal(size=(50, 2)), r, [f"m{i}" for i in range(9)], np.array([0.6, 0.2]))
    heights = np.sort([t.get_position()[1] for t in biplot(drawn).axes[0].texts])
    assert np.diff(heights).min() > 0.3


def test_phenotypes_of_a_biplot_are_counted_and_the_uncalled_are_grey():
    drawn = Biplot(RNG.normal(size=(4, 2)), np.eye(2), ["a", "b"], np.array([0.6, 0.2]))
    figure = biplot(drawn, color_by=pd.Series(["SS", "SS", "RS", None]))
    words = [t.get_text() for t in figure.legends[0].get_texts()]
    assert words == ["RS (1)", "SS (2)", "not called (1)"]
    with pytest.raises(InputError, match="1 colors for 4 cells"):
        biplot(drawn, color_by=pd.Series(["SS"]))


def test_correlations_are_bold_where_sure():
    table = pd.DataFrame({"x": "CD29", "y": ["a", "b"], "r": [0.5, -0.1], "p_holm": [0.01, 0.9]})
    ax = correlation_figure(table.assign(n=90, groups=5)).axes[0]
    assert ax.get_title() == "90 cells of 5 groups"
    assert texts(ax) == [".50", "-.10"]
    assert [t.get_fontweight() for t in ax.texts] == ["bold", "normal"]


def test_bars_are_the_explained_variance():
    rows = {"explained": [0.7, 0.3], "low": [0.6, 0.2], "high": [0.8, 0.4]}
    table = pd.DataFrame({"component": [1, 2], **rows, "cumulative": [0.7, 1.0]})
    bars = explained_figure(table, cells=9).axes[0].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([70, 30])


def test_only_significant_effects_are_full_points():
    table = pd.DataFrame(
        {"variable": ["A", "B"], "a": "x", "b": "y", "effect": [1.0, 0.1]}
        | {"low": [0.5, -0.4], "high": [1.5, 0.6], "p_holm": [0.001, 0.8]}
    )
    ax = effects_figure(table.assign(units=[6, 5])).axes[0]
    full, hollow = (line for line in ax.lines if line.get_marker() == "o")
    assert (full.get_xdata().tolist(), hollow.get_xdata().tolist()) == ([1.0], [0.1])
    assert ax.get_title() == "x - y\nn = 6 units"
    of_cells = effects_figure(table.assign(n_a=9, n_b=7, groups=0)).axes[0]
    assert of_cells.get_title() == "x - y\nn = 9, 7 cells"


def test_levels_and_shares_are_drawn_for_each_class_and_level():
    levels = pd.DataFrame(
        {"variable": "A", "class": ["RS", "SS"], "n": [3, 4]}
        | {"relative": [0.9, 1.1], "low": [0.8, 1.0], "high": [1.0, 1.2]}
    )
    words = [t.get_text() for t in levels_figure(levels).legends[0].get_texts()]
    assert words == ["RS (3)", "SS (4)"]
    shares = pd.DataFrame(
        {"variable": "A", "level": ["donor", "cell"], "groups": [5, 90]}
        | {"share": [0.3, 0.7], "low": [0.1, 0.4], "high": [0.6, 0.9]}
    )
    figure = shares_figure(shares)
    assert [ax.get_title() for ax in figure.axes] == ["donor (n = 5)", "cell (n = 90)"]
    assert figure.axes[0].patches[0].get_width() == pytest.approx(30)
