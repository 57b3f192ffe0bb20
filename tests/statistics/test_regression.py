import numpy as np
import pytest
from scipy import stats

from unstained.errors import InputError
from unstained.statistics import linear_fit


def test_three_points_by_hand():
    # x 0 1 2, y 1 2 4: slope 3/2, mean 7/3 - 3/2 = 5/6; bias = (1 + 1 + 2) / 3
    fit = linear_fit([0, 1, 2], [1, 2, 4])
    assert fit.slope.estimate == pytest.approx(1.5)
    assert fit.intercept.estimate == pytest.approx(5 / 6)
    assert fit.bias.estimate == pytest.approx(4 / 3)
    # residuals 1/6, -1/3, 1/6: sum of squares 1/6, one degree of freedom
    assert fit.residual_sd == pytest.approx(np.sqrt(1 / 6))


def test_intervals_agree_with_scipy_at_a_large_offset():
    rng = np.random.default_rng(0)
    x = rng.uniform(10_000, 60_000, 80)
    y = 500 + 0.8 * x + rng.normal(0, 2000, 80)
    line = stats.linregress(x, y)
    t = stats.t.ppf(0.975, 78)
    fit = linear_fit(x, y)
    assert fit.slope.high - fit.slope.estimate == pytest.approx(t * line.stderr)
    assert fit.intercept.estimate - fit.intercept.low == pytest.approx(t * line.intercept_stderr)
    assert fit.r == pytest.approx(stats.pearsonr(x, y).statistic)


def test_bias_interval_is_the_t_interval_of_the_differences():
    rng = np.random.default_rng(1)
    x = rng.normal(size=30)
    y = x + rng.normal(0.3, 1, 30)
    theirs = stats.ttest_1samp(y - x, 0).confidence_interval()
    assert linear_fit(x, y).bias[1:3] == pytest.approx((theirs.low, theirs.high))


def test_a_slope_that_differs_between_groups_has_a_wider_interval_over_groups():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(12), 50)
    x = rng.uniform(1, 2, 600)
    y = x * rng.normal(1, 0.3, 12)[group] + rng.normal(0, 0.01, 600)
    naive, clustered = linear_fit(x, y), linear_fit(x, y, groups=group)
    assert clustered.slope.estimate == pytest.approx(naive.slope.estimate)
    assert clustered.intercept.estimate == pytest.approx(naive.intercept.estimate)
    assert clustered.bias.high - clustered.bias.low > 3 * (naive.bias.high - naive.bias.low)


def test_the_best_predictor_has_slope_r_squared():
    # y = E(x | evidence) of x = evidence + noise, each of variance 1: r^2 = 1/2 = slope
    evidence, noise = np.random.default_rng(3).normal(size=(2, 20_000))
    fit = linear_fit(evidence + noise, evidence)
    assert fit.slope.estimate == pytest.approx(0.5, abs=0.02)
    assert fit.slope.estimate == pytest.approx(fit.r**2, rel=0.03)


def test_a_constant_x_has_no_slope():
    assert np.isnan(linear_fit([1, 1, 1], [1, 2, 3]).slope.estimate)


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match="one length"):
        linear_fit([1, 2, 3], [1, 2])
