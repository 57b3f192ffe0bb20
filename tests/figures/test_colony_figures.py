import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from unstained.errors import InputError
from unstained.figures import (
    class_patches,
    class_shares,
    colony_with_patches,
    confusion_figure,
    fractions_figure,
    label_curve,
    loss_curves,
    methods_figure,
    mistakes_grid,
    reliability_figure,
    sampling_weights,
    save_figure,
)
from unstained.figures.style import PALETTE

NAMES = ("debris", "dense", "spread")


def patch(value=0.0, size=16):
    return value + np.random.default_rng(0).random((size, size))


def line(ax, label):
    return next(drawn for drawn in ax.lines if drawn.get_label() == label)


def history():
    return pd.DataFrame(
        {
            "epoch": [0, 1, 2, 3],
            "teacher_loss": [4.0, 3.0, 2.0, 1.0],
            "student_loss": [np.nan, np.nan, 2.5, 1.5],
            "validation": [0.3, 0.5, 0.8, 0.7],
        }
    )


def shares():
    rows = [(e, n, s) for e in (1, 0) for n, s in zip(NAMES, (0.2, 0.3, 0.5), strict=True)]
    return pd.DataFrame(rows, columns=["epoch", "class", "share"])


def scored():
    rows = [("ipb", 0.1, 0.8, 0.7, 0.9), ("mpl", 0.1, 0.6, 0.5, 0.7), ("ipb", 0.01, 0.5, 0.4, 0.6)]
    return pd.DataFrame(rows, columns=["method", "labelled", "value", "low", "high"])


def fractions():
    rows = [
        (t, 8.0 * h, n, 0.1 * h, 0.05 * h, 0.15 * h)
        for t in ("control", "nicotine")
        for h in (1, 0)
        for n in NAMES
    ]
    return pd.DataFrame(rows, columns=["treatment", "time_h", "class", "fraction", "low", "high"])


def reliability():
    columns = ["class", "bin_low", "bin_high", "n", "confidence", "frequency", "low", "high"]
    rows = [
        (n, 0.5 * b, 0.5 * b + 0.5, 9, 0.5 * b + 0.2, 0.4, 0.3, 0.5) for n in NAMES for b in (0, 1)
    ]
    return pd.DataFrame(rows, columns=columns)


FIGURES = {
    "loss_curves": lambda: loss_curves(history()),
    "class_patches": lambda: class_patches({n: [patch(), patch(size=8)] for n in NAMES}),
    "colony_with_patches": lambda: colony_with_patches(patch(), np.eye(16), [(1, 2, 9, 10)]),
    "class_shares": lambda: class_shares(shares(), true={"dense": 0.3}),
    "sampling_weights": lambda: sampling_weights(shares().rename(columns={"share": "weight"})),
    "label_curve": lambda: label_curve(scored()),
    "methods_figure": lambda: methods_figure(scored()),
    "confusion_figure": lambda: confusion_figure(np.eye(3, dtype=int), NAMES),
    "reliability_figure": lambda: reliability_figure(reliability()),
    "mistakes_grid": lambda: mistakes_grid({("dense", "spread"): patch()}, NAMES),
    "fractions_figure": lambda: fractions_figure(fractions()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_a_picture_without_a_warning(name, tmp_path):
    assert save_figure(FIGURES[name](), tmp_path / "f.png", dpi=60).stat().st_size > 1000


def test_the_student_begins_where_it_has_a_loss_and_the_best_epoch_has_a_ring():
    loss, validation = loss_curves(history()).axes
    assert line(loss, "student").get_xdata().tolist() == [2, 3]
    assert line(loss, "teacher").get_ydata().tolist() == [4, 3, 2, 1]
    ring = validation.lines[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (2, 0.8)


def test_a_history_without_validation_has_one_panel():
    assert len(loss_curves(history().drop(columns="validation")).axes) == 1


def test_patches_of_a_class_share_one_grey_scale():
    figure = class_patches(
        {"a": [patch(0), patch(5)], "b": [patch(0), patch(0)]}, scales=["1", "2"]
    )
    limits = [ax.images[0].get_clim() for ax in figure.axes]
    assert limits[0] == limits[1]
    assert limits[0] != limits[2]
    assert [ax.get_title() for ax in figure.axes[:2]] == ["1", "2"]


def test_classes_of_unequal_numbers_of_patches_are_refused():
    with pytest.raises(InputError, match=r"\[1, 2\] patches a class"):
        class_patches({"a": [patch()], "b": [patch(), patch()]})


def test_boxes_lie_where_the_patches_were_drawn_in_the_colors_of_their_classes():
    mask = np.zeros((20, 30))
    mask[5:15, 5:25] = 1
    boxes = [(2, 3, 10, 11), (8, 20, 16, 28), (1, 1, 9, 9)]
    figure = colony_with_patches(
        np.zeros((20, 30)), mask, boxes, labels=["dense", "spread", "dense"]
    )
    drawn = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert [p.get_bbox().extents.tolist() for p in drawn] == [
        [3, 2, 11, 10],
        [20, 8, 28, 16],
        [1, 1, 9, 9],
    ]
    assert [to_hex(p.get_edgecolor()).upper() for p in drawn] == [
        PALETTE[0],
        PALETTE[1],
        PALETTE[0],
    ]


def test_the_outline_runs_around_the_mask():
    mask = np.zeros((20, 30))
    mask[5:15, 8:25] = 1
    ax = colony_with_patches(np.zeros((20, 30)), mask, []).axes[0]
    corners = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    # pixels 8 to 24 cover 8 ... 25; the contour runs half-way between pixel centers
    assert corners.min(axis=0).tolist() == [8, 5]
    assert corners.max(axis=0).tolist() == [25, 15]


def test_an_empty_mask_has_no_outline():
    assert not colony_with_patches(patch(), np.zeros((16, 16)), []).axes[0].collections


def test_true_shares_are_dashed_in_the_color_of_their_class():
    ax = class_shares(shares(), true={"dense": 0.3}).axes[0]
    dashed = next(drawn for drawn in ax.lines if drawn.get_linestyle() == "--")
    assert dashed.get_ydata()[0] == 0.3
    assert dashed.get_color() == line(ax, "dense").get_color()
    assert line(ax, "dense").get_xdata().tolist() == [0, 1]


def test_a_class_without_pseudo_labels_has_no_weight_to_draw():
    table = pd.DataFrame({"epoch": [0, 1], "class": "dense", "weight": [0.0, 2.0]})
    assert line(sampling_weights(table).axes[0], "dense").get_ydata().tolist() == [2.0]


def test_labelled_shares_are_drawn_in_percent_in_ascending_order():
    ax = label_curve(scored()).axes[0]
    assert ax.get_xlabel() == "labelled part of all images (%)"
    assert line(ax, "ipb").get_xdata().tolist() == [1, 10]
    assert line(ax, "ipb").get_ydata().tolist() == [0.5, 0.8]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]


@pytest.mark.parametrize("number", [2, 6])
def test_the_legend_of_long_names_stays_within_the_figure(number):
    names = [f"mpl-balanced network=vgg19 scales=2 multi_label={i}" for i in range(number)]
    table = pd.concat(
        [scored()[:2].assign(method=name, value=0.1 * i) for i, name in enumerate(names)]
    )
    figure = label_curve(table)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1
    assert len(figure.legends) == 1
    assert figure.axes[0].bbox.height > figure.bbox.height / 3


def test_the_legend_of_short_names_is_as_wide_as_it_may_be():
    # four in rows of at most three: two and two
    table = pd.concat([scored()[:1].assign(method=name) for name in "abcd"])
    assert label_curve(table).legends[0]._ncols == 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda title: confusion_figure(np.eye(3, dtype=int), NAMES, title=title),
        lambda title: mistakes_grid({}, NAMES, title=title),
    ],
)
def test_whose_predictions_they_are_stands_above_in_lines_that_fit(draw):
    title = "mpl-balanced network=vgg19 scales=2 multi_label=True balance=0.5, 10 % labelled"
    figure = draw(title)
    figure.draw_without_rendering()
    words = figure._suptitle
    assert words.get_text().split() == title.split()
    assert words.get_window_extent().width <= figure.bbox.width
    assert draw("")._suptitle is None


def test_the_best_method_stands_above_with_its_interval():
    ax = methods_figure(scored()[:2]).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["mpl", "ipb"]
    assert ax.collections[0].get_segments()[1].tolist() == [[0.7, 1], [0.9, 1]]


def test_the_confusion_matrix_names_its_axes_and_shares_add_up_over_rows():
    # of 4 true "a" 3 are right: 75 %, not 3 of the 8 predicted "a"
    ax = confusion_figure([[3, 1], [5, 0]], ["a", "b"]).axes[0]
    assert ax.get_xlabel() == "predicted class"
    assert ax.get_ylabel() == "true class"
    words = {t.get_position(): t.get_text() for t in ax.texts}  # at (column, row)
    assert words[(0, 0)] == "3\n(75 %)"
    assert words[(1, 0)] == "1\n(25 %)"
    assert words[(0, 1)] == "5\n(100 %)"


def test_a_class_without_rows_has_no_shares():
    ax = confusion_figure([[3, 1], [0, 0]], ["a", "b"]).axes[0]
    assert {t.get_text() for t in ax.texts} == {"3\n(75 %)", "1\n(25 %)", "0"}


def test_reliability_has_a_curve_above_its_counts_for_every_class():
    figure = reliability_figure(reliability())
    curves = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in curves] == list(NAMES)
    assert curves[0].lines[1].get_xdata().tolist() == [0.2, 0.7]


def test_mistakes_stand_in_the_row_of_the_true_class():
    figure = mistakes_grid({("dense", "spread"): patch()}, NAMES)
    drawn = [i for i, ax in enumerate(figure.axes) if ax.images]
    assert drawn == [1 * 3 + 2]
    with pytest.raises(InputError, match="'mystery'"):
        mistakes_grid({("dense", "mystery"): patch()}, NAMES)


def test_each_condition_has_one_line_in_the_panel_of_each_class():
    axes = fractions_figure(fractions()).axes
    assert [ax.get_title() for ax in axes] == list(NAMES)
    assert line(axes[1], "nicotine").get_xdata().tolist() == [0, 8]
    assert line(axes[1], "nicotine").get_ydata().tolist() == [0, 0.1]


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="no column low among method"):
        methods_figure(scored().drop(columns="low"))


def test_long_names_of_methods_leave_room_for_the_scores(tmp_path):
    name = "ipb adviser=false auxiliary=1 balanced_labels=false balance=0 prior=em"
    table = scored().assign(method=lambda t: [f"{name} {i}" for i in range(len(t))])
    figure = methods_figure(table)
    save_figure(figure, tmp_path / "methods.png")  # a warning, an error here, if it collapses
    assert figure.axes[0].get_position().width * figure.get_figwidth() > 1
