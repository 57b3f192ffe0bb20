"""Profiles of drawn cells, whose place, turn and stain are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops

from unstained.cell_table import new_cells
from unstained.dynamics.kymograph_files import cell_frames, cell_of_track, kymograph_table
from unstained.dynamics.kymographs import (
    CellFrame,
    Kymograph,
    KymographSettings,
    inner_fluctuation,
    kymograph,
    marker_difference,
)
from unstained.dynamics.profiles import body_shifts, cell_profile, long_axis
from unstained.errors import DataError, InputError
from unstained.images import as_image

Array = np.ndarray[Any, Any]


def _ellipse(angle: float, half: tuple[float, float] = (30, 10), side: int = 81) -> Array:
    y, x = np.mgrid[:side, :side] - side // 2
    u = math.cos(angle) * x + math.sin(angle) * y
    v = math.cos(angle) * y - math.sin(angle) * x
    return np.asarray((u / half[0]) ** 2 + (v / half[1]) ** 2 < 1)


def _along(angle: float, side: int = 81) -> Array:
    """Position along the axis, pixels from the middle."""
    y, x = np.mgrid[:side, :side] - side // 2
    return np.asarray(math.cos(angle) * x + math.sin(angle) * y)


def _turning(angles: list[float]) -> Iterator[CellFrame]:
    """A cell whose stain rises from tail to head, whatever way it lies."""
    for t, angle in enumerate(angles):
        yield CellFrame(t, _ellipse(angle), (100 + _along(angle))[None])


def _made(
    frames: Iterator[CellFrame], settings: KymographSettings | None = None, pixel_um: float = 1.0
) -> Kymograph:
    return kymograph(frames, ["A"], pixel_size_um=pixel_um, frame_interval_s=120, settings=settings)


def _table(values: Array, markers: tuple[str, ...] = ("A", "B")) -> Kymograph:
    t, p = values.shape[1:]
    nothing = np.zeros(t)
    return Kymograph(
        markers, values, np.arange(p) - p / 2, "um", 1.0, 2.0 * np.arange(t), *[nothing] * 2
    )


@pytest.mark.parametrize("degrees", [-80, -30, 0, 25, 60])
def test_the_long_axis_is_scikit_images_orientation(degrees: float):
    mask = _ellipse(math.radians(degrees))
    angle, anisotropy = long_axis(mask)
    assert math.degrees(angle) == pytest.approx(degrees, abs=0.5)
    # scikit-image measures from the row axis, the other way round
    theirs = regionprops(mask.astype(int))[0]
    assert angle == pytest.approx(math.pi / 2 - theirs.orientation, abs=1e-6) or (
        angle == pytest.approx(-math.pi / 2 - theirs.orientation, abs=1e-6)
    )
    # half axes 30 and 10: (900 - 100) / (900 + 100)
    assert anisotropy == pytest.approx(0.8, abs=0.01)


def test_a_stain_that_rises_along_the_cell_gives_its_own_position():
    made = _made(_turning([0.4]), pixel_um=0.5)
    seen = np.isfinite(made.values[0, 0])
    inner = np.flatnonzero(seen)[1:-1]  # the ends have pixels on one side only
    # 0.5 um pixels: the stain is 100 + 2 per um
    np.testing.assert_allclose(made.values[0, 0, inner], 100 + 2 * made.position[inner], atol=0.3)
    # half axis of 30 pixels
    assert made.length_um[0] == pytest.approx(30, abs=1)
    assert made.step_um == 1.0


def test_a_cell_that_turns_all_the_way_round_keeps_its_head():
    angles = list(np.linspace(0, 2 * math.pi, 25))
    made = _made(_turning(angles))
    np.testing.assert_allclose(made.angle_rad, angles, atol=0.02)
    rises = made.values[0, :, made.position == 20] - made.values[0, :, made.position == -20]
    np.testing.assert_allclose(rises, 40, atol=1.5)


def test_a_round_cell_keeps_the_axis_of_the_frame_before():
    frames = [_ellipse(0.5), _ellipse(0.0, (15, 15)), _ellipse(0.6)]
    made = _made(CellFrame(t, mask, mask[None] * 1.0) for t, mask in enumerate(frames))
    np.testing.assert_allclose(made.angle_rad, [0.5, 0.5, 0.6], atol=0.02)


def test_the_images_axis_averages_over_the_vertical():
    stain = np.tile(np.arange(81.0), (81, 1))
    mask = _ellipse(0.8)
    made = _made(iter([CellFrame(0, mask, stain[None])]), KymographSettings(axis="image"))
    seen = np.isfinite(made.values[0, 0])
    np.testing.assert_allclose(made.values[0, 0][seen], 40 + made.position[seen], atol=1e-6)
    assert made.angle_rad[0] == 0


def test_relative_positions_run_from_end_to_end_of_a_cell_that_stretches():
    frames = (
        CellFrame(t, _ellipse(0, (half, 10)), (_along(0) / half)[None])
        for t, half in enumerate((20, 30, 39))
    )
    made = _made(frames, KymographSettings(relative=True))
    # the stain is -1 to 1 from end to end: 2 * position - 1
    expected = np.tile(2 * made.position - 1, (3, 1))
    np.testing.assert_allclose(made.values[0], expected, atol=0.06)
    # median length 60 um in 50 positions
    assert made.step_um == pytest.approx(59 / 50, rel=0.02)


def _with_an_arm(arms: list[int]) -> Iterator[CellFrame]:
    """A body with a bright spot 10 px right of its middle, and an arm of so many pixels."""
    y, x = np.mgrid[:41, :161]
    body = ((x - 60) / 25) ** 2 + ((y - 20) / 12) ** 2 < 1
    spot = 1 + 9 * np.exp(-(((x - 70) / 3.0) ** 2))
    for t, arm in enumerate(arms):
        reach = (np.abs(y - 20) < 2) & (x > 60) & (x < 85 + arm)
        yield CellFrame(t, body | reach, spot[None])


@pytest.mark.parametrize("start", [0, 70])
def test_an_arm_that_stretches_does_not_move_what_is_in_the_body(start: int):
    arms = [start, 0, 20, 40, 70, 70, 40, 0, 0, 70, 10, 0]
    spots = {
        center: made.position[np.nanargmax(made.values[0], axis=1)]
        for center in ("body", "outline")
        for made in [_made(_with_an_arm(arms), KymographSettings(center=center))]
    }
    assert np.ptp(spots["body"]) <= 1  # one position
    # an arm of 70 x 3 pixels, 60 from the center of a body of pi 25 12 = 942, pulls the center
    # of both by 210 x 60 / 1152 = 11
    assert np.ptp(spots["outline"]) == pytest.approx(11, abs=1.5)


@pytest.mark.parametrize("degrees", [0, 20, 45])
def test_a_rigid_cell_between_the_pixels_is_laid_on_itself(degrees: float):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:101, :101]
    angle = math.radians(degrees)
    profiles = []
    for at_y, at_x in 50 + rng.uniform(-0.5, 0.5, (20, 2)):
        u = math.cos(angle) * (x - at_x) + math.sin(angle) * (y - at_y)
        v = math.cos(angle) * (y - at_y) - math.sin(angle) * (x - at_x)
        mask = (u / 40) ** 2 + (v / 12) ** 2 < 1
        profiles.append(cell_profile(mask, mask[None], angle, 1.0))
    assert np.abs(body_shifts(profiles)).max() < 0.5


def test_a_spot_that_travels_in_a_cell_at_rest_is_not_held_still():
    y, x = np.mgrid[:41, :81] - np.array([20, 40])[:, None, None]
    mask = (x / 35) ** 2 + (y / 12) ** 2 < 1
    places = np.linspace(-20, 20, 9)
    frames = (
        CellFrame(t, mask, 10 * np.exp(-(((x - place) / 3) ** 2))[None])
        for t, place in enumerate(places)
    )
    made = _made(frames)
    found = made.position[np.nanargmax(made.values[0], axis=1)]
    np.testing.assert_allclose(found, places, atol=1)


def test_outside_the_cell_and_in_missed_frames_there_is_no_value():
    frames = iter(
        [
            CellFrame(t, _ellipse(0, (half, 10)), np.ones((1, 81, 81)))
            for t, half in ((3, 10), (5, 20))
        ]
    )
    made = _made(frames)
    assert made.time_min.tolist() == [6, 8, 10]
    assert np.isnan(made.values[0, 1]).all()
    assert np.isnan(made.values[0, 0, np.abs(made.position) > 11]).all()
    assert np.isfinite(made.values[0, 2, np.abs(made.position) < 18]).all()


def test_profile_and_level_are_no_fluctuation():
    level = np.array([1.0, 2.0, 0.5, 1.2])[:, None]
    profile = np.array([3.0, 5.0, 4.0, 0.1])[None]
    rest = inner_fluctuation(level * profile)
    np.testing.assert_allclose(rest[:, :3], 0, atol=1e-12)
    # 0.1 is below a tenth of 5
    assert np.isnan(rest[:, 3]).all()


def test_what_two_markers_share_is_told_from_what_they_do_not():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 300, 60))
    same = marker_difference(_table(np.stack([1 + 0.01 * a, 5 + 0.1 * a])), "A", "B")
    other = marker_difference(_table(np.stack([1 + 0.01 * a, 5 + 0.1 * b])), "A", "B")
    mirror = marker_difference(_table(np.stack([1 + 0.01 * a, 1 - 0.01 * a])), "A", "B")
    assert same.share == pytest.approx(0, abs=1e-3)
    assert other.share == pytest.approx(0.5, abs=0.02)
    assert mirror.share == pytest.approx(1, abs=1e-3)
    # the variance of a difference of two standardized numbers is 2 (1 - r)
    assert other.values.var() == pytest.approx(4 * other.share)


def test_a_constant_or_unknown_marker_has_no_difference():
    rng = np.random.default_rng(0)
    values = np.stack([1 + 0.1 * rng.standard_normal((20, 20)), np.ones((20, 20))])
    with pytest.raises(DataError, match="B does not change"):
        marker_difference(_table(values), "A", "B")
    with pytest.raises(InputError, match="has no C"):
        marker_difference(_table(values), "A", "C")


def test_frames_that_do_not_fit_are_refused():
    mask = _ellipse(0)
    one = CellFrame(1, mask, np.ones((1, 81, 81)))
    with pytest.raises(DataError, match="in no frame"):
        _made(iter([]))
    with pytest.raises(InputError, match="frame 1 after 1"):
        _made(iter([one, one]))
    with pytest.raises(InputError, match="stains of shape"):
        _made(iter([one._replace(stains=np.ones((2, 81, 81)))]))
    with pytest.raises(DataError, match="empty"):
        _made(iter([one._replace(mask=mask & False)]))
    with pytest.raises(InputError, match=r"0\.5 um apart in pixels of 1 um"):
        _made(iter([one]), KymographSettings(step_um=0.5))
    with pytest.raises(DataError, match="fewer than two frames"):
        inner_fluctuation(np.ones((1, 10)))


def _cells() -> Any:
    # track 7 is label 2 in frame 0 and label 1 in frame 2
    obs = pd.DataFrame(
        {
            "image": ["m", "m"],
            "frame": [2, 0],
            "time_s": [240.0, 0.0],
            "label": [1, 2],
            "track": [7, 7],
            "parent": 0,
            "y_um": 0.0,
            "x_um": 0.0,
            "border": False,
            "neighbors": 0,
        }
    )
    var = pd.DataFrame({"kind": ["marker"], "unit": "grey"}, index=["A"])
    return new_cells(obs, pd.DataFrame({"A": [1.0, 2.0]}), var)


def test_a_followed_cell_is_cut_out_of_its_frames_less_the_background():
    label_of = cell_of_track(_cells(), "m", 7)
    assert label_of == {0: 2, 2: 1}
    labels = np.zeros((3, 8, 8), int)
    labels[0, 2:4, 1:6], labels[2, 5:7, 0:3] = 2, 1
    stain = as_image(np.arange(3 * 64.0).reshape(3, 8, 8), "TYX")
    background = {0: np.array([10.0]), 2: np.array([20.0])}
    frames = list(cell_frames(label_of, lambda t: labels[t], [stain], background=background))
    assert [frame.frame for frame in frames] == [0, 2]
    assert frames[0].mask.shape == (2, 5)
    # row 2, column 1 of frame 0: 17; row 5, column 0 of frame 2: 168
    assert frames[0].stains[0, 0, 0] == 17 - 10
    assert frames[1].stains[0, 0, 0] == 168 - 20


def test_labels_or_stains_of_another_movie_are_refused():
    with pytest.raises(DataError, match="no track 8; its longest ones are 7"):
        cell_of_track(_cells(), "m", 8)
    stain = as_image(np.zeros((3, 8, 8)), "TYX")
    with pytest.raises(DataError, match="cell 2 is not in frame 0"):
        list(cell_frames({0: 2}, lambda t: np.zeros((8, 8), int), [stain]))
    with pytest.raises(DataError, match="a stain of shape"):
        list(cell_frames({0: 2}, lambda t: np.zeros((9, 8), int), [stain]))


def test_the_table_has_a_row_for_each_place_inside_the_cell():
    values = np.array([[[1.0, np.nan], [3.0, 4.0]]])
    table = kymograph_table(_table(values, ("A",)))
    assert table["A"].tolist() == [1, 3, 4]
    assert table["time_min"].tolist() == [0, 2, 2]
    assert table["position_um"].tolist() == [-1, -1, 0]
