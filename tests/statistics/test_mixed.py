import numpy as np
import pytest
from scipy import stats

from unstained.errors import DataError, InputError
from unstained.statistics import compare_units, mixed_model

HOURS = np.arange(24.0)


def wells(rng, number=8, *, slope=0.0, level=0.0):
    """y, hours, well, treated: wells of 20 colonies that turn for good, half of them treated.

    A colony turns when its well's log odds, rising by .05 an hour, pass its own threshold: hours
    depend on one another. Wells differ in level (sd .5) and slope (sd .02).
    """
    columns = []
    for well in range(number):
        treated = well < number // 2
        start = rng.normal(-1, 0.5) + level * treated
        rise = 0.05 + rng.normal(0, 0.02) + slope * treated
        turned = (start + rise * HOURS)[:, None] > rng.logistic(size=20)
        count = turned.sum(axis=1)
        y = np.log((count + 0.5) / (20 - count + 0.5))
        columns.append((y, HOURS, np.full(24, well), np.full(24, treated)))
    return [np.concatenate(column) for column in zip(*columns, strict=True)]


def test_the_level_is_a_t_test_of_the_wells_means():
    y, t, well, treated = wells(np.random.default_rng(0))
    found = compare_units(y, t, well, treated)
    means = y.reshape(8, 24).mean(axis=1)
    expected = stats.ttest_ind(means[:4], means[4:])
    interval = expected.confidence_interval()
    assert found.level.estimate == pytest.approx(means[:4].mean() - means[4:].mean())
    assert found.level.p == pytest.approx(expected.pvalue)
    assert (found.level.low, found.level.high) == pytest.approx((interval.low, interval.high))
    assert (found.treated, found.control) == (4, 4)


def test_the_slope_is_a_t_test_of_the_wells_slopes():
    y, t, well, treated = wells(np.random.default_rng(1))
    slopes = [np.polyfit(HOURS, of_well, 1)[0] for of_well in y.reshape(8, 24)]
    expected = stats.ttest_ind(slopes[:4], slopes[4:]).pvalue
    found = compare_units(y, t, well, treated).slope
    assert found.p == pytest.approx(expected)
    assert found.estimate == pytest.approx(np.mean(slopes[:4]) - np.mean(slopes[4:]))


def test_either_effect_is_holms():
    found = compare_units(*wells(np.random.default_rng(2)))
    assert found.p == pytest.approx(min(1, 2 * min(found.level.p, found.slope.p)))


def test_equal_wells_are_found_different_in_about_5_of_100():
    # 300 experiments without effect, 4 + 4 wells: binomial, 4 standard errors of .05 are .05;
    # a mixed model's z test with a random intercept alone finds "other slopes" in 2 of 3
    rng = np.random.default_rng(3)
    p = np.array([[c.level.p, c.slope.p] for c in (compare_units(*wells(rng)) for _ in range(300))])
    margin = 4 * np.sqrt(0.05 * 0.95 / 300)
    assert np.abs((p < 0.05).mean(axis=0) - 0.05).max() < margin


def test_a_real_effect_is_found():
    # the wells' sd is about .7 (their own .5, and 20 colonies): t about 2 / (.7 sqrt(2 / 8)) = 5.7
    found = compare_units(*wells(np.random.default_rng(4), 16, level=2.0))
    assert found.p < 0.01
    assert found.level.low < 2 < found.level.high


def test_more_hours_make_no_more_wells():
    # the same wells seen ten times as often say no more
    y, t, well, treated = wells(np.random.default_rng(5))
    once = compare_units(y, t, well, treated)
    often = compare_units(*(np.repeat(column, 10) for column in (y, t, well, treated)))
    assert often.level == pytest.approx(once.level)


def test_one_hour_has_a_level_and_no_slope():
    y = [1.0, 2.0, 3.0, 5.0]
    found = compare_units(y, np.zeros(4), list("abcd"), [True, True, False, False])
    assert found.level.estimate == -2.5
    assert np.isnan(found.slope.p)
    assert found.p == found.level.p


def test_wells_that_agree_to_the_last_digit_are_no_division_by_zero():
    same = compare_units([1.0] * 4, np.zeros(4), list("abcd"), [True, True, False, False])
    assert same.level.p == 1.0


def test_the_mixed_model_of_equal_hours_is_the_same_comparison():
    # balanced data: REML gives the two-stage estimates and standard errors
    data = wells(np.random.default_rng(6), slope=0.1)
    two_stage, mixed = compare_units(*data), mixed_model(*data)
    assert mixed.converged
    assert tuple(mixed.level) == pytest.approx(tuple(two_stage.level), rel=0.01, abs=1e-3)
    assert tuple(mixed.slope) == pytest.approx(tuple(two_stage.slope), rel=0.01, abs=1e-3)


def test_what_the_optimizer_complains_of_is_a_note_not_a_warning():
    # wells without any difference: the variance of the random effects is at its bound, 0
    rng = np.random.default_rng(7)
    y = rng.normal(size=8 * 24)
    well = np.repeat(np.arange(8), 24)
    found = mixed_model(y, np.tile(HOURS, 8), well, well < 4)
    assert "boundary" in found.note or not found.converged


def test_a_well_has_one_condition():
    with pytest.raises(DataError, match="a is treated and control"):
        compare_units([1.0, 2.0], [0, 1], ["a", "a"], [True, False])


def test_one_well_a_side_is_no_experiment():
    with pytest.raises(DataError, match="the well is the unit of replication"):
        compare_units([1.0, 2.0], [0, 0], ["a", "b"], [True, False])


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        compare_units([np.nan] * 4, np.zeros(4), list("abcd"), [True, True, False, False])


def test_units_that_do_not_vary_have_neither_interval_nor_p():
    # wells of 0.3 and 0.1 + 0.2, against 0.7: a spread of the last bit would give p = 0
    y, unit = [0.3, 0.1 + 0.2, 0.7, 0.7], list("abcd")
    level = compare_units(y, [0, 0, 0, 0], unit, [True, True, False, False]).level
    assert level.estimate == pytest.approx(-0.4)
    assert np.isnan([level.low, level.high, level.p]).all()
    same = compare_units([0.7] * 4, [0, 0, 0, 0], unit, [True, True, False, False]).level
    assert (same.estimate, same.p) == (0, 1)
