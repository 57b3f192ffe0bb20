import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from unstained.errors import InputError
from unstained.figures import (
    Amounts,
    StainPanel,
    amount_scatter,
    blend,
    composite_figure,
    learning_curve,
    marker_colors,
    save_figure,
    score_boxplots,
    stain_panels,
)
from unstained.figures.style import nice_length


def scores(values, models=("U-Net", "cGAN")):
    return pd.DataFrame(
        [("DAPI", model, v) for model in models for v in values],
        columns=["marker", "model", "value"],
    )


def texts(figure):
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def panel(shape=(32, 48), seed=0):
    rng = np.random.default_rng(seed)
    stain = rng.integers(0, 60_000, shape).astype(np.uint16)
    return StainPanel("DAPI", rng.random(shape), stain, stain.astype(np.float32) / 2, "r_s 1.00")


def test_no_figure_needs_pyplot(tmp_path):
    import subprocess

    code = (
        "import sys, numpy as np; from unstained.figures import *;"
        "a = np.random.rand(20, 20); p = StainPanel('D', a, a, a);"
        "save_figure(stain_panels([p]), 'f.png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_settings_of_the_user_come_back():
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    score_boxplots(scores([0.5, 0.6]))
    assert mpl.rcParams["font.size"] == before


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_figures_are_saved_under_their_name_only(tmp_path, suffix):
    save_figure(
        learning_curve(pd.DataFrame({"seconds": [0, 60], "value": [0, 1]})),
        tmp_path / f"curve{suffix}",
    )
    assert [p.name for p in tmp_path.iterdir()] == [f"curve{suffix}"]


def test_outliers_are_drawn():
    # nine values at 0.50 ... 0.58 and one at 0.1, far below q1 - 1.5 iqr
    values = [0.1, *np.linspace(0.5, 0.58, 9)]
    ax = score_boxplots(scores(values, ["U-Net"])).axes[0]
    fliers = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in fliers] == [[0.1]]


def test_three_values_are_three_points():
    ax = score_boxplots(scores([0.1, 0.2, 0.3], ["U-Net"])).axes[0]
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert points[0].get_ydata().tolist() == [0.1, 0.2, 0.3]


def test_stars_stand_where_a_comparison_is_significant_and_only_there():
    comparisons = pd.DataFrame(
        {
            "marker": ["DAPI", "DAPI"],
            "model_a": ["U-Net", "U-Net"],
            "model_b": ["cGAN", "phase"],
            "stars": ["**", "ns"],
        }
    )
    drawn = score_boxplots(
        scores(np.linspace(0.4, 0.6, 9), ["U-Net", "cGAN", "phase"]), comparisons
    )
    assert texts(drawn) == ["**"]


def test_nan_scores_are_not_counted():
    ax = score_boxplots(scores([0.5, np.nan, 0.7])).axes[0]
    assert ax.get_xticklabels()[0].get_text() == "DAPI\n(n = 2)"


def test_stain_and_prediction_share_one_grey_scale():
    row = panel()
    axes = stain_panels([row]).axes
    stain, prediction = axes[1].images[0], axes[2].images[0]
    assert stain.get_clim() == prediction.get_clim()
    assert stain.get_clim() == pytest.approx(tuple(np.percentile(row.stain, [0.5, 99.8])))


def test_difference_of_16_bit_images_does_not_wrap():
    # uint16 3 - 5 would be 65534
    stain = np.full((8, 8), 5, np.uint16)
    drawn = stain_panels([StainPanel("A", stain, stain, np.full((8, 8), 3, np.uint16))])
    assert (drawn.axes[3].images[0].get_array() == -2).all()


def test_scale_bar_only_where_the_pixel_size_is_known():
    assert "10 µm" in texts(stain_panels([panel((64, 64))], pixel_size_um=1.0))  # 64 / 4 = 16
    assert texts(stain_panels([panel((64, 64))])) == ["r_s 1.00"]


def test_scale_bar_is_as_long_as_it_says():
    ax = stain_panels([panel((64, 64))], pixel_size_um=0.5).axes[0]  # 64 * 0.5 / 4 = 8 um: bar of 5
    x = ax.lines[0].get_xdata()
    assert (x[1] - x[0]) * 0.5 == pytest.approx(5.0)


@pytest.mark.parametrize(("most", "nice"), [(1.0, 1), (1.9, 1), (4.9, 2), (80, 50), (0.07, 0.05)])
def test_nice_lengths(most, nice):
    assert nice_length(most) == pytest.approx(nice)


def test_a_long_field_shows_its_stained_part_and_says_so():
    stain = np.zeros((400, 40))
    stain[300:310, 10:20] = 1.0  # a third of the way from the lower end
    figure = stain_panels([StainPanel("A", stain, stain, stain)])
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown.shape == (60, 40)
    assert shown.sum() == 100
    assert "60 × 40 px with the most stain" in figure.texts[0].get_text()


def test_images_of_different_shapes_are_refused():
    with pytest.raises(InputError, match="one shape"):
        stain_panels([panel((8, 8)), panel((8, 9))])


def test_a_full_stain_shows_its_own_color_and_nothing_of_the_phase():
    stain = np.zeros((4, 4))
    stain[0, 0] = 1.0
    mixed = blend(
        np.random.default_rng(0).random((4, 4)), {"A": stain}, {"A": "FF0000"}, limits={"A": (0, 1)}
    )
    # red: 1 - (1 - phase) (1 - 1) = 1; green, blue: the phase alone
    assert mixed[0, 0, 0] == 255
    assert mixed[0, 0, 1] == mixed[0, 0, 2] < 128


def test_two_stains_add_up():
    one = np.ones((2, 2))
    mixed = blend(
        None,
        {"A": one, "B": one},
        {"A": "FF0000", "B": "00FF00"},
        limits={"A": (0, 1), "B": (0, 1)},
    )
    assert mixed[0, 0].tolist() == [255, 255, 0]


def test_a_color_that_is_none_is_refused():
    with pytest.raises(InputError, match="color 'red'; give RRGGBB"):
        blend(None, {"A": np.ones((2, 2))}, {"A": "red"})


def test_nuclei_are_blue_and_other_markers_differ():
    colors = marker_colors(["DAPI", "MAP2", "NFH"])
    red, green, blue = to_rgb("#" + colors["DAPI"])
    assert blue > max(red, green)
    assert len(set(colors.values())) == 3


def test_measured_and_predicted_composites_share_limits():
    # a prediction at half the stain must look half as bright, not be stretched to look equal
    rng = np.random.default_rng(1)
    stain = {"A": rng.random((16, 16))}
    half = {"A": stain["A"] / 2}
    figure = composite_figure(np.zeros((16, 16)), half, {"A": "FFFFFF"}, measured=stain)
    _, measured, predicted = (np.asarray(ax.images[0].get_array()) for ax in figure.axes)
    assert predicted.mean() < 0.5 * measured.mean()


def test_learning_curve_in_minutes_with_the_best_point_marked():
    history = pd.DataFrame({"seconds": [0, 60, 120], "value": [0.1, 0.8, 0.7]})
    line, ring = learning_curve(history).axes[0].lines[:2]
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (1.0, 0.8)


def test_mean_of_seeds_spans_what_all_of_them_reach():
    history = pd.DataFrame(
        {"seconds": [0, 60, 0, 120], "value": [0.0, 1.0, 1.0, 3.0], "seed": [0, 0, 1, 1]}
    )
    mean = learning_curve(history).axes[0].lines[4]
    # at 1 min: (1 + (1 + 3) / 2) / 2
    assert mean.get_xdata()[-1] == 1.0
    assert mean.get_ydata()[-1] == pytest.approx(1.5)


def test_scatter_states_the_slope():
    x = np.arange(100.0)
    figure = amount_scatter({"DNA": Amounts(x, 0.5 * x + 3, "cell")})
    assert texts(figure) == ["r = 1.00, 100 cells\nslope 0.50 [0.50, 0.50]"]


def test_constant_images_draw_without_a_warning():
    flat = np.full((8, 8), 7.0)
    stain_panels([StainPanel("A", flat, flat, flat)], pixel_size_um=1.0)
    composite_figure(flat, {"A": flat}, pixel_size_um=1.0)
    amount_scatter({"A": Amounts(np.ones(40), np.ones(40))})


def test_the_legend_of_many_models_with_long_names_stays_within_the_figure():
    rows = [
        (marker, f"a rather long model name {k}", 0.1 * value)
        for marker in ("DAPI", "MAP2", "NFH")
        for k in range(7)
        for value in range(9)
    ]
    figure = score_boxplots(pd.DataFrame(rows, columns=["marker", "model", "value"]))
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
