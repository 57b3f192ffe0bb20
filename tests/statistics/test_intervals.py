import numpy as np
import pytest
from scipy import stats

from unstained.errors import InputError
from unstained.heterogeneity.effects import hedges_g
from unstained.heterogeneity.variance import variance_shares
from unstained.statistics import (
    Interval,
    correlation_moments,
    fisher_z_interval,
    linear_fit,
    mean_interval,
    moments_correlation,
    resampled_interval,
    resampled_sums,
    student_bounds,
    wilson_interval,
)


def test_bootstrap_of_the_median_agrees_with_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=60)
    ours = resampled_interval(values, lambda v: float(np.median(v)), draws=4000)
    theirs = stats.bootstrap((values,), np.median, n_resamples=4000, method="percentile", rng=2)
    assert ours.estimate == np.median(values)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.08 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.08 * width)


def test_mean_interval_of_normal_values_is_1_96_standard_errors():
    values = stats.norm.ppf((np.arange(400) + 0.5) / 400)  # mean 0, sd about 1: se = 1 / 20
    mean = mean_interval(values, draws=6000)
    assert mean.estimate == pytest.approx(0.0, abs=1e-12)
    assert mean.high == pytest.approx(1.96 / 20, rel=0.06)
    assert mean.low == pytest.approx(-1.96 / 20, rel=0.06)


def test_an_interval_over_groups_is_wider_than_over_rows_when_groups_correlate():
    # 10 groups of 20 equal rows: only 10 facts, so the se is sqrt(20) times the naive one, and
    # sqrt(10/9) times that as an SD of ten values; Student's t of 9 is 2.262, the normal 1.960
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=10), 20)
    groups = np.repeat(np.arange(10), 20)
    naive, cluster = mean_interval(values), mean_interval(values, groups=groups)
    ratio = (cluster.high - cluster.low) / (naive.high - naive.low)
    assert ratio == pytest.approx(np.sqrt(20 * 10 / 9) * 2.262 / 1.960, rel=0.05)


def test_the_mean_of_few_groups_has_students_interval():
    # group means 1 and 3, two values each: 2 +- t(1) .975 = 12.706 x sd sqrt(2) / sqrt(2) = 1
    mean = mean_interval([0.0, 2.0, 2.5, 3.5], groups=["a", "a", "b", "b"])
    assert mean == pytest.approx((2.0, 2 - 12.706, 2 + 12.706, 4), abs=1e-3)
    four = np.array([1.0, 2.0, 4.0, 7.0])
    theirs = stats.ttest_1samp(four, 0).confidence_interval(0.9)
    ours = mean_interval(np.repeat(four, 3), groups=np.repeat(np.arange(4), 3), level=0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_few_groups_of_unequal_size_weigh_by_their_values():
    # 0 of one value and 3 of two: mean 2, without a group 3 and 0: se^2 = 1/2 x (1.5^2 + 1.5^2)
    mean = mean_interval([0.0, 3.0, 3.0], groups=[0, 1, 1])
    assert mean.estimate == 2
    assert mean.high - 2 == pytest.approx(12.706 * 1.5, abs=1e-3)


def _coverage(groups, statistic, scale, true, seed, tables=300):
    """How often 95 % intervals hold the truth: y = x + noise, in groups that differ as rows do."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(tables):
        group = np.repeat(np.arange(groups), 12)
        of_x, of_y = rng.normal(size=(2, groups))[:, group]
        x = of_x + rng.normal(size=group.size)
        y = x + of_y + rng.normal(size=group.size)
        rows = np.column_stack([np.ones_like(x), x, y, x**2, y**2, x * y])
        found = resampled_sums(rows, statistic, groups=group, scale=scale)
        held += found.low <= true <= found.high
    return held / tables


@pytest.mark.parametrize("groups", [3, 8])
def test_intervals_over_few_groups_hold_what_they_promise(groups):
    # 0.95 counted in 300 tables has an SD of 0.013; a bootstrap holds 0.74 to 0.92 here
    def mean_y(sums):
        return sums[..., 2] / sums[..., 0]

    assert 0.91 < _coverage(groups, mean_y, "plain", 0.0, seed=1) < 0.99
    # var x = 2, var y = 4, cov = 2: r = 2 / sqrt(8)
    assert 0.91 < _coverage(groups, moments_correlation, "fisher", 2 / np.sqrt(8), seed=2) < 0.99


def test_bounds_stay_on_the_scale():
    values = np.array([0.2, 0.9, 4.0])

    def mean(sums):
        return sums[..., 0] / sums[..., 1]

    rows = np.column_stack([values, np.ones(3)])
    assert resampled_sums(rows, mean).low < 0
    log = resampled_sums(rows, mean, scale="log")
    assert 0 < log.low < log.estimate < log.high
    # without one: means 2.45, 2.1, 0.55; their logarithms 0.896, 0.742, -0.598, mean 0.347
    error = np.sqrt(2 / 3 * (0.549**2 + 0.395**2 + 0.945**2))
    assert np.log(log.high / log.estimate) == pytest.approx(4.303 * error, rel=2e-3)
    # a correlation of 1 is at the end of its scale, and 0.9 as far from it as -0.9
    assert np.isnan(student_bounds(0.95, [0.9, 0.92, 1.0], "fisher")).all()
    assert student_bounds(0.6, [0.9, 0.3, 0.7], "logit")[1] < 1


def test_a_statistic_undefined_without_a_group_has_no_interval():
    # the only x that differs is in group c: without it no correlation
    x, y = np.array([1.0, 1, 1, 2]), np.array([1.0, 2, 1, 3])
    moments = np.array([correlation_moments(a, b) for a, b in zip(x, y, strict=True)])
    found = resampled_sums(moments, moments_correlation, groups=["a", "b", "b", "c"])
    assert np.isfinite(found.estimate)
    assert np.isnan([found.low, found.high]).all()


def test_groups_of_one_give_the_naive_interval():
    values = np.random.default_rng(4).normal(size=30)
    names = [f"{i:02d}" for i in range(30)]
    assert mean_interval(values, groups=names) == mean_interval(values)


@pytest.mark.parametrize("rows", [25, 140])
def test_sums_and_rows_give_the_same_interval(rows):
    values = np.random.default_rng(5).normal(size=rows)
    groups = np.arange(rows) // 4  # seven, which are left out in turn, or 35, which are drawn
    generic = resampled_interval(values, lambda v: float(v.mean()), groups=groups, draws=300)
    sums = mean_interval(values, groups=groups, draws=300)
    assert sums == pytest.approx(generic)


def test_nan_is_left_out_and_not_counted():
    mean = mean_interval([1.0, np.nan, 3.0], groups=["a", "b", "c"])
    assert (mean.estimate, mean.n) == (2.0, 2)


def test_one_value_has_no_interval():
    mean = mean_interval([0.7])
    assert mean.estimate == 0.7
    assert np.isnan([mean.low, mean.high]).all()


def test_fisher_z_by_hand():
    # atanh(0.5) = 0.549306; 1.959964 / sqrt(103 - 3) = 0.195996
    found = fisher_z_interval(0.5, 103)
    assert found.low == pytest.approx(np.tanh(0.549306 - 0.195996), abs=1e-5)
    assert found.high == pytest.approx(np.tanh(0.549306 + 0.195996), abs=1e-5)


def test_fisher_z_agrees_with_scipy():
    x, y = np.random.default_rng(6).normal(size=(2, 40))
    theirs = stats.pearsonr(x, x + y)
    ours = fisher_z_interval(theirs.statistic, 40, level=0.9)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.9)))


def test_fisher_z_of_three_points_is_undefined():
    assert np.isnan(fisher_z_interval(0.5, 3).low)


def test_moments_of_parts_add_to_the_correlation_of_the_whole():
    x, y = np.random.default_rng(7).normal(1000, 50, size=(2, 90))
    y = y + x
    parts = sum(correlation_moments(x[i : i + 30], y[i : i + 30]) for i in (0, 30, 60))
    assert moments_correlation(parts) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-10)


def test_correlation_with_a_constant_is_nan():
    assert np.isnan(moments_correlation(correlation_moments([0.1] * 999, np.arange(999.0))))


def test_bootstrapped_correlation_meets_fisher_z_on_normal_pairs():
    x, y = np.random.default_rng(8).normal(size=(2, 500))
    rows = np.array([correlation_moments(a, b) for a, b in zip(x, x + y, strict=True)])
    boot = resampled_sums(rows, moments_correlation)
    exact = fisher_z_interval(np.corrcoef(x, x + y)[0, 1], 500)
    assert boot.high - boot.low == pytest.approx(exact.high - exact.low, rel=0.15)


def test_groups_of_another_length_are_refused():
    with pytest.raises(InputError, match="one group a row"):
        mean_interval([1.0, 2.0, 3.0], groups=["a", "b"])
    with pytest.raises(InputError, match="one group a row"):
        resampled_interval([1.0, 2.0], np.mean, groups=["a"])


def test_a_level_in_percent_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level=95)


@pytest.mark.parametrize("level", [95, 0, 1.0, float("nan")])
def test_a_coverage_in_percent_is_refused_wherever_one_is_asked_for(level):
    x = np.arange(12.0)
    nests = {"donor": np.repeat([1, 2, 3], 4), "well": np.repeat(np.arange(6), 2)}
    asked = [
        lambda: mean_interval(x, level=level),
        lambda: fisher_z_interval(0.5, 12, level=level),
        lambda: linear_fit(x, x**2, level=level),
        lambda: wilson_interval(3, 12, level=level),
        lambda: hedges_g(x, x + 1, level=level),
        lambda: variance_shares(x, nests, level=level),
    ]
    for ask in asked:
        with pytest.raises(InputError, match="between 0 and 1"):
            ask()


def test_an_interval_is_written_behind_its_estimate_where_it_is_known():
    assert f"{Interval(0.934, 0.9, 0.961, 7):.2f}" == "0.93 [0.90, 0.96]"
    assert f"{Interval(0.934, 0.9, 0.961, 7).alone():.3f}" == "0.934"
