"""Overall and fluctuation correlation: by hand, against NumPy, against known truth."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.dynamics.correlations import CorrelationSettings, compare_correlations
from unstained.errors import DataError, InputError


def simulated(cells, frames, between, within, seed=0):
    """(2, C, T): levels that correlate by `between` over cells, by `within` over frames."""
    rng = np.random.default_rng(seed)
    level = rng.multivariate_normal([0, 0], [[1, between], [between, 1]], cells).T
    change = rng.multivariate_normal([0, 0], [[1, within], [within, 1]], (cells, frames))
    return 10 + level[..., None] + 0.3 * np.moveaxis(change, 2, 0)


def test_overall_is_numpy_s_correlation_of_the_cells_means() -> None:
    x = simulated(30, 50, 0.6, 0.2)
    found = compare_correlations(x, x)
    expected = np.corrcoef(x.mean(axis=2))
    np.testing.assert_allclose(found.overall.r, expected, atol=1e-12)


def test_overall_in_one_frame_uses_the_cells_seen_in_it() -> None:
    x = simulated(30, 50, 0.6, 0.2)
    x[:, :5, 7] = np.nan
    found = compare_correlations(x, x, frame=7)
    assert found.overall.n == 25
    np.testing.assert_allclose(found.overall.r, np.corrcoef(x[:, 5:, 7]), atol=1e-12)


def test_fluctuation_pools_products_within_cells() -> None:
    # cell 1: deviations (-1, 0, 1) and (-1, 0, 1): products 2, squares 2 and 2
    # cell 2: (-2, 2) and (1, -1): products -4, squares 8 and 2; r = -2 / sqrt(10 x 4)
    nan = np.nan
    x = np.array(
        [[[1.0, 2, 3], [5, 9, nan]], [[7.0, 8, 9], [3, 1, nan]]],
    )
    found = compare_correlations(x, x)
    assert found.fluctuation.r[0, 1] == pytest.approx(-2 / np.sqrt(40))
    assert found.of_cell[0, 0, 1] == pytest.approx(1)
    assert np.isnan(found.of_cell[1, 0, 1])  # two frames always correlate by 1 or -1


def test_a_frame_without_one_marker_counts_for_none() -> None:
    x = simulated(5, 20, 0.6, 0.2)
    x[0, :, 3] = np.nan
    other = np.delete(x, 3, axis=2)
    ours, theirs = compare_correlations(x, x), compare_correlations(other, other)
    np.testing.assert_allclose(ours.fluctuation.r, theirs.fluctuation.r, atol=1e-12)
    np.testing.assert_allclose(ours.overall.r, theirs.overall.r, atol=1e-12)


def test_both_correlations_and_their_difference_lie_in_their_intervals_as_often_as_said() -> None:
    # 100 experiments, 95 %: fewer than 88 have a chance below 1 %
    inside = np.zeros(3)
    for seed in range(100):
        x = simulated(20, 30, 0.6, 0.2, seed)
        found = compare_correlations(x, x, settings=CorrelationSettings(draws=300, seed=seed))
        # means over 30 frames keep 0.09 / 30 of the fluctuation, which moves 0.6 by 0.001
        for k, (part, true) in enumerate(
            [(found.overall, 0.6), (found.fluctuation, 0.2), (found.difference, 0.4)]
        ):
            inside[k] += part.low[0, 1] <= true <= part.high[0, 1]
    assert (inside >= 88).all()


def test_noise_pulls_the_fluctuation_correlation_down_and_is_corrected() -> None:
    x = simulated(100, 200, 0.6, 0.8)
    noisy = x + 0.3 * np.random.default_rng(1).standard_normal(x.shape)
    # half of each variance is noise: 0.8 becomes 0.4
    found = compare_correlations(noisy, noisy, reliability=[0.5, 0.5])
    assert found.fluctuation.r[0, 1] == pytest.approx(0.4, abs=0.02)
    assert found.corrected is not None
    assert found.corrected.r[0, 1] == pytest.approx(0.8, abs=0.04)
    assert found.corrected.r[0, 0] == 1


def test_cells_of_one_lineage_are_drawn_together() -> None:
    x = simulated(10, 30, 0.6, 0.2)
    twice = np.concatenate([x, x], axis=1)
    one = compare_correlations(x, x)
    grouped = compare_correlations(twice, twice, groups=[*range(10), *range(10)])
    np.testing.assert_allclose(grouped.fluctuation.low, one.fluctuation.low, atol=1e-9)
    assert grouped.fluctuation.n == 20


def test_large_totals_lose_no_digits() -> None:
    x = simulated(30, 50, 0.6, 0.2)
    small, large = compare_correlations(x, x), compare_correlations(1e6 * x, 1e6 * x + 1e10)
    np.testing.assert_allclose(large.overall.r, small.overall.r, atol=1e-9)
    np.testing.assert_allclose(large.fluctuation.r, small.fluctuation.r, atol=1e-6)


def test_one_cell_has_a_fluctuation_correlation_only() -> None:
    x = simulated(1, 200, 0.6, 0.8)
    found = compare_correlations(x, x)
    assert found.fluctuation.r[0, 1] == pytest.approx(np.corrcoef(x[:, 0])[0, 1])
    assert np.isnan(found.fluctuation.low[0, 1])
    assert np.isnan(found.overall.r[0, 1])


def test_bad_input_is_refused() -> None:
    x = simulated(4, 10, 0.6, 0.2)
    with pytest.raises(InputError, match="fluctuations"):
        compare_correlations(x, x[:, :3])
    with pytest.raises(InputError, match="no frame 10"):
        compare_correlations(x, x, frame=10)
    with pytest.raises(InputError, match="groups"):
        compare_correlations(x, x, groups=[1, 2])
    with pytest.raises(InputError, match="reliability"):
        compare_correlations(x, x, reliability=[0.0, 1])
    with pytest.raises(DataError, match="two frames"):
        compare_correlations(x[..., :1], x[..., :1])
    constant = x.copy()
    constant[1] = 7.1
    with pytest.raises(DataError, match="marker 1 is constant"):
        compare_correlations(constant, constant)
