from math import asinh, hypot, log, pi, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from scipy.special import ellipe
from skimage.measure import regionprops

from unstained.cells.shape import SHAPE_FEATURES, shape_features
from unstained.cells.shape_kernels import edge_middles, smooth_rings, trace_mask
from unstained.errors import DataError, InputError
from unstained.simulate.movie import Movie, MovieSettings

COMPACTNESS = list(SHAPE_FEATURES[5:])


def plane(size, dy=0.0, dx=0.0, angle=0.0):
    """y and x of pixel centers along axes that are shifted and turned."""
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    y, x = y - dy, x - dx
    return np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x


def disc(radius, dy=0.0, dx=0.0):
    y, x = plane(int(2 * radius + 6), dy, dx)
    return (y**2 + x**2 < radius**2).astype(np.int32)


def rectangle(height, width, angle=0.0, dy=0.0, dx=0.0):
    y, x = plane(int(hypot(height, width)) + 6, dy, dx, angle)
    return ((abs(y) < height / 2) & (abs(x) < width / 2)).astype(np.int32)


def only(labels, pixel_size_um=1.0, nuclei=None):
    (row,) = shape_features(labels, pixel_size_um, nuclei).itertuples()
    return row


# Discs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dy", [0.0, 0.23, 0.46])
@pytest.mark.parametrize("dx", [0.0, 0.13, 0.37, 0.46])
def test_a_disc_of_10_px_is_1_in_every_measure_to_2_percent_wherever_it_lies(dy, dx):
    cell = only(disc(10, dy, dx))
    for name in COMPACTNESS:
        assert 0.98 <= getattr(cell, name) <= 1, name
    assert cell.area_um2 == pytest.approx(pi * 100, rel=0.02)
    assert cell.perimeter_um == pytest.approx(2 * pi * 10, rel=0.02)
    assert cell.aspect_ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("radius", "within"), [(6, 0.03), (8, 0.025), (20, 0.02), (60, 0.01)])
def test_discs_of_6_to_60_px_are_1_in_every_measure(radius, within):
    rng = np.random.default_rng(radius)
    for dy, dx in rng.uniform(-0.5, 0.5, (5, 2)):
        cell = only(disc(radius, dy, dx))
        for name in COMPACTNESS:
            assert 1 - within <= getattr(cell, name) <= 1, name
        assert cell.perimeter_um == pytest.approx(2 * pi * radius, rel=0.02)


def test_pixels_of_twice_the_size_give_four_times_the_area_and_the_same_ratios():
    bar = np.ones((20, 60), np.int32)
    small, large = only(bar, 0.5), only(bar, 1.0)
    # 20 x 60 px of 0.5 um: 10 um x 30 um = 300 um2
    assert small.area_um2 == 300
    assert large.area_um2 == 4 * small.area_um2
    assert large.perimeter_um == pytest.approx(2 * small.perimeter_um)
    for name in ("aspect_ratio", *COMPACTNESS):
        assert getattr(large, name) == getattr(small, name), name


# Shapes with known values ------------------------------------------------------------------


def rectangle_truth(a, b):
    """Of a rectangle with sides a >= b."""
    d, r = hypot(a, b), sqrt(a * b / pi)
    from_center = d / 6 + a**2 / (12 * b) * asinh(b / a) + b**2 / (12 * a) * asinh(a / b)
    # mean distance of two points (Ghosh 1951, Bull Calcutta Math Soc 43:17)
    pairs = (
        a**3 / b**2
        + b**3 / a**2
        + d * (3 - a**2 / b**2 - b**2 / a**2)
        + 2.5 * (b**2 / a * log((a + d) / b) + a**2 / b * log((b + d) / a))
    ) / 15
    # points along the four sides, by length
    u, v = np.linspace(0, a / 2, 100_001), np.linspace(0, b / 2, 100_001)
    distance = np.concatenate([np.hypot(u, b / 2), np.hypot(v, a / 2)])
    weight = np.concatenate([np.full(u.size, a), np.full(v.size, b)])
    m = np.average(distance, weights=weight)
    return {
        "aspect_ratio": a / b,
        "proximity": 2 / 3 * r / from_center,
        "spin": r**2 / 2 / ((a**2 + b**2) / 12),
        "dispersion": 1 - np.average(abs(distance - m), weights=weight) / m,
        "cohesion": 128 / (45 * pi) * r / pairs,
        # under a hip roof of slope 1 there is the volume b^2 (3 a - b) / 12
        "depth": b**2 * (3 * a - b) / 12 / (a * b) / (r / 3),
        "girth": b / 2 / r,
        "detour": 2 * pi * r / (2 * (a + b)),
    }


def test_the_formulas_for_a_square_give_its_known_mean_distances():
    square = rectangle_truth(1, 1)
    r = sqrt(1 / pi)
    # 0.3826 from the center, 0.5214 between two points (square of side 1)
    assert square["proximity"] == pytest.approx(2 / 3 * r / 0.38260, rel=1e-4)
    assert square["cohesion"] == pytest.approx(128 / (45 * pi) * r / 0.52141, rel=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.785])
@pytest.mark.parametrize(("a", "b"), [(60, 60), (60, 20), (90, 15)])
def test_a_rectangle_has_its_analytic_values(a, b, angle):
    cell = only(rectangle(b, a, angle, 0.2, 0.4))
    truth = rectangle_truth(a, b)
    third_of_a_pixel = 1 / 3 / sqrt(a * b / pi)
    assert cell.girth == pytest.approx(truth.pop("girth"), abs=third_of_a_pixel)
    for name, value in truth.items():
        assert getattr(cell, name) == pytest.approx(value, rel=0.03), name
    assert cell.perimeter_um == pytest.approx(2 * (a + b), rel=0.025)
    assert cell.area_um2 == pytest.approx(a * b, rel=0.025)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.1])
def test_an_ellipse_has_its_analytic_values(angle):
    a, b = 36, 12
    y, x = plane(80, 0.3, 0.1, angle)
    cell = only(((x / a) ** 2 + (y / b) ** 2 < 1).astype(np.uint8))
    # mean squared distance (a^2 + b^2) / 4, r^2 = a b
    assert cell.spin == pytest.approx(2 * a * b / (a**2 + b**2), rel=0.02)
    assert cell.girth == pytest.approx(sqrt(b / a), rel=0.03)
    around = 4 * a * ellipe(1 - (b / a) ** 2)
    assert cell.perimeter_um == pytest.approx(around, rel=0.02)
    assert cell.detour == pytest.approx(2 * pi * sqrt(a * b) / around, rel=0.02)
    assert cell.aspect_ratio == pytest.approx(3, rel=0.02)
    assert cell.area_um2 == pytest.approx(pi * a * b, rel=0.02)


def test_a_ring_has_two_outlines_one_of_which_counts_for_dispersion():
    outer, inner = 40, 24
    y, x = plane(90, 0.1, 0.3)
    square = y**2 + x**2
    cell = only(((square < outer**2) & (square > inner**2)).astype(np.int32))
    r = sqrt(outer**2 - inner**2)  # 32
    assert cell.perimeter_um == pytest.approx(2 * pi * (outer + inner), rel=0.02)
    assert cell.dispersion == pytest.approx(1, abs=0.02)
    assert cell.detour == pytest.approx(r / outer, rel=0.02)
    # mean squared distance (R^2 + q^2) / 2
    assert cell.spin == pytest.approx(r**2 / (outer**2 + inner**2), rel=0.02)
    # w = R - q: circles of w / 2 fit; at distance t from an edge lies 2 pi (R + q) dt, mean w / 4
    assert cell.girth == pytest.approx(8 / r, abs=0.35 / r)
    assert cell.depth == pytest.approx(4 / (r / 3), rel=0.03)


def test_cohesion_is_the_mean_over_all_pairs_of_points():
    mask = np.zeros((30, 26), np.int32)
    mask[2:28, 3:10] = 1
    mask[20:28, 3:24] = 1  # an L
    points = np.argwhere(np.kron(mask, np.ones((2, 2)))) / 2
    area = int(mask.sum())
    expected = 128 / (45 * pi) * sqrt(area / pi) / pdist(points).mean()
    assert only(mask).cohesion == pytest.approx(expected, rel=0.002)


def speckled():
    """A cell in pieces with holes: most rows have several runs of pixels."""
    y, x = plane(60)
    return ((np.hypot(y, 0.7 * x) < 20) & (np.cos(0.9 * y) + np.cos(0.7 * x) > -0.8)).astype(int)


def test_cohesion_counts_every_pair_of_pixels_of_a_cell_in_pieces_with_holes():
    mask = speckled()
    area = int(mask.sum())
    # each pair in both orders at sqrt(d^2 + 1/6), each pixel with itself at 0.521405
    pairs = 2 * np.sqrt(pdist(np.argwhere(mask)) ** 2 + 1 / 6).sum() + 0.521405 * area
    expected = 128 / (45 * pi) * sqrt(area / pi) / (pairs / area**2)
    assert only(mask).cohesion == pytest.approx(expected, rel=1e-12)


def test_cohesion_of_a_sieve_is_that_of_its_sample():
    # a cell of 400 px with a hole at every other place has 80,000 runs; its pixels lie as those of
    # the full square do, whose mean distance is 0.5214 of its side
    y, x = np.mgrid[:402, :402]
    mask = ((y + x) % 2 == 0) & (np.minimum(y, x) > 0) & (np.maximum(y, x) < 401)
    expected = 128 / (45 * pi) * sqrt(mask.sum() / pi) / (0.521405 * 400)
    assert only(mask.astype(int)).cohesion == pytest.approx(expected, rel=0.01)


def test_cohesion_is_the_same_of_a_cell_that_lies_down():
    mask = speckled()[10:50]
    assert only(mask).cohesion == pytest.approx(only(mask.T.copy()).cohesion, rel=1e-12)


def test_depth_is_the_mean_distance_of_the_pixels_from_their_smoothed_outline():
    mask = speckled()
    corners, ends = trace_mask(np.pad(mask, 1) > 0)
    outline = smooth_rings(edge_middles(corners, ends), ends)
    after = np.concatenate([np.roll(ring, -1, axis=0) for ring in np.split(outline, ends[:-1])])
    along = after - outline
    to = np.argwhere(np.pad(mask, 1))[:, None] + 0.5 - outline  # (pixels, vertices, 2)
    share = ((to * along).sum(-1) / (along**2).sum(-1)).clip(0, 1)
    distance = np.linalg.norm(to - share[..., None] * along, axis=-1).min(axis=1)
    r = sqrt(mask.sum() / pi)
    # of the lines only those that meet in the nearest vertex are asked: a little farther
    assert only(mask).depth == pytest.approx(distance.mean() / (r / 3), rel=1e-4)


def test_cohesion_of_a_cell_longer_than_512_px_is_that_of_its_shape():
    labels = np.ones((30, 1300), np.int32)
    assert only(labels).cohesion == pytest.approx(rectangle_truth(1300, 30)["cohesion"], rel=0.005)


def test_area_and_aspect_ratio_are_those_of_scikit_image():
    rng = np.random.default_rng(4)
    y, x = plane(70)
    blob = (y / 14) ** 2 + (x / 25) ** 2 < 1 + 0.3 * np.sin(3 * np.arctan2(y, x))
    labels = np.where(blob, 7, 0) * (rng.random(blob.shape) < 0.98)
    (theirs,) = regionprops(labels)
    # they take the moments of pixel centers, we those of squares, which are 1/12 larger
    major, minor = np.array(theirs.inertia_tensor_eigvals) + 1 / 12
    cell = only(labels)
    assert cell.Index == 7
    assert cell.area_um2 == theirs.area
    assert cell.aspect_ratio == pytest.approx(sqrt(major / minor))


def test_a_shape_that_is_moved_turned_or_mirrored_stays_the_same():
    y, x = plane(64)
    blob = ((y / 12) ** 2 + (x / 22) ** 2 < 1 + 0.4 * np.cos(3 * np.arctan2(y, x))).astype(int)
    moved = np.pad(blob, ((17, 0), (0, 5)))
    here = shape_features(blob, 1.0)
    pd.testing.assert_frame_equal(shape_features(moved, 1.0), here)
    for other in (np.rot90(blob), blob[:, ::-1]):
        other_way = shape_features(np.ascontiguousarray(other), 1.0)
        pd.testing.assert_frame_equal(other_way, here, rtol=0.01)


def test_area_and_perimeter_are_those_of_the_simulated_outlines():
    movie = Movie(MovieSettings(frames=1, size=512, cells=12, seed=3))
    um = movie.settings.optics.pixel_size_um
    made = movie.structures(0)
    cells = shape_features(made.labels, um, made.nuclei)
    truth = pd.DataFrame(movie.shape(0)).set_index("label")
    edge = np.concatenate([made.labels[[0, -1]].ravel(), made.labels[:, [0, -1]].ravel()])
    whole = cells.index.difference(np.unique(edge))
    assert len(whole) >= 5
    perimeter = cells.perimeter_um[whole] / truth.perimeter_um[whole]
    area = cells.area_um2[whole] / truth.area_um2[whole]
    assert perimeter.between(0.98, 1.02).all()
    assert area.between(0.98, 1.04).all()  # thin arms are at least a pixel wide
    nucleus = cells.nucleus_area_um2[whole] / truth.nucleus_area_um2[whole]
    assert nucleus.median() == pytest.approx(1, abs=0.02)


# Nuclei and pieces -------------------------------------------------------------------------


def test_a_nucleus_belongs_whole_to_the_cell_that_holds_most_of_it():
    labels = np.zeros((10, 20), np.int32)
    labels[:, :10], labels[:, 10:] = 4, 9
    nuclei = np.zeros_like(labels)
    nuclei[2:6, 7:12] = 1  # 4 x 3 px in cell 4, 4 x 2 in cell 9
    nuclei[8:9, 1:5] = 2  # 4 px, a second nucleus of cell 4
    cells = shape_features(labels, 0.5, nuclei)
    # (20 + 4) px of 0.25 um2 = 6 um2 in a cell of 100 px = 25 um2
    assert cells.nucleus_area_um2[4] == 6
    assert cells.nucleus_to_cell_ratio[4] == pytest.approx(0.24)
    assert np.isnan(cells.nucleus_area_um2[9])
    assert np.isnan(cells.nucleus_to_cell_ratio[9])


def test_a_nucleus_outside_all_cells_counts_nowhere():
    labels = np.zeros((8, 8), np.int32)
    labels[:3, :3] = 1
    nuclei = np.zeros_like(labels)
    nuclei[5:, 5:] = 1
    assert shape_features(labels, 1.0, nuclei).nucleus_area_um2.isna().all()


def test_without_nuclei_both_columns_are_nan():
    cells = shape_features(disc(5), 1.0)
    assert cells[["nucleus_area_um2", "nucleus_to_cell_ratio"]].isna().all(axis=None)


def test_a_cell_in_two_pieces_has_the_area_and_outline_of_both():
    one = disc(12)
    two = np.concatenate([one, one], axis=1)
    alone, both = only(one), only(two)
    assert both.area_um2 == 2 * alone.area_um2
    assert both.perimeter_um == pytest.approx(2 * alone.perimeter_um)
    # r grows by sqrt 2, the inscribed circle does not
    assert both.girth == pytest.approx(alone.girth / sqrt(2))
    assert both.depth == pytest.approx(alone.depth / sqrt(2))


def test_neighbors_that_touch_do_not_change_a_cell():
    labels = np.tile(rectangle(20, 40), (1, 2))
    labels[:, labels.shape[1] // 2 :] *= 2
    labels[labels == 0] = 3
    cells = shape_features(labels, 1.0)
    alone = only(rectangle(20, 40))
    assert cells.loc[1, COMPACTNESS].tolist() == [getattr(alone, name) for name in COMPACTNESS]


# Small, many, bad --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 9), (2, 2), (3, 3)])
def test_cells_of_few_pixels_have_finite_measures_up_to_1(shape):
    values = shape_features(np.ones(shape, np.int32), 1.0)[COMPACTNESS].to_numpy()
    assert ((values > 0) & (values <= 1)).all()


def test_labels_are_rows_in_ascending_order_whatever_their_numbers():
    labels = np.zeros((8, 20), np.int64)
    labels[2:5, 1:5], labels[2:6, 8:14], labels[0, 0] = 2**31 - 2, 12, 3
    cells = shape_features(labels, 1.0)
    assert cells.index.tolist() == [3, 12, 2**31 - 2]
    assert cells.index.name == "label"
    assert cells.area_um2.tolist() == [1, 24, 12]
    assert tuple(cells.columns) == SHAPE_FEATURES


def test_an_image_without_cells_gives_a_table_without_rows():
    cells = shape_features(np.zeros((5, 5), np.int32), 1.0, np.zeros((5, 5), np.int32))
    assert cells.shape == (0, 12)
    assert (cells.dtypes == np.float64).all()


@pytest.mark.parametrize("pixel_size_um", [None, 0.0, -1.0, float("nan")])
def test_an_unknown_pixel_size_is_refused(pixel_size_um):
    with pytest.raises(InputError, match="--pixel-size"):
        shape_features(disc(5), pixel_size_um)


def test_what_is_no_label_image_is_refused():
    with pytest.raises(InputError, match=r"float64 of shape \(4, 4\)"):
        shape_features(np.ones((4, 4)), 1.0)
    with pytest.raises(InputError, match=r"\(1, 4, 4\)"):
        shape_features(np.ones((1, 4, 4), int), 1.0)
    with pytest.raises(InputError, match=r"labels are \(4, 4\), nuclei \(4, 5\)"):
        shape_features(np.ones((4, 4), int), 1.0, np.ones((4, 5), int))
    with pytest.raises(DataError, match="-1"):
        shape_features(np.full((4, 4), -1), 1.0)


def test_labels_may_be_lists_and_none_that_is_too_large_vanishes():
    rows = [[1, 1, 0], [1, 1, 2]]
    assert shape_features(rows, 2.0)["area_um2"].to_dict() == {1: 16.0, 2: 4.0}  # 4 um2 a pixel
    largest = np.full((3, 3), 2**63 - 1, np.uint64)
    assert shape_features(largest, 1.0).index.tolist() == [2**63 - 1]
    with pytest.raises(DataError, match="a label is 9223372036854775808; number the cells"):
        shape_features(largest + np.uint64(1), 1.0)
