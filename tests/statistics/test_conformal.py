import numpy as np
import pytest

from unstained.errors import InputError
from unstained.statistics import ClassConformal, not_sure


def two(p0):
    p = np.asarray(p0, dtype=float)
    return np.column_stack([p, 1 - p])


def drawn(n, rng):
    """Unequal classes (90 : 10) and probabilities that favor the frequent one."""
    true = (rng.random(n) < 0.1).astype(int)
    logit = rng.normal(np.where(true == 0, 2.0, 0.0), 1.0)
    return two(1 / (1 + np.exp(-logit))), true


def test_the_threshold_is_the_finite_sample_rank():
    # class 0: 9 scores 1 - p = .1 ... .9; rank ceil(10 x .8) = 8: .8
    p = two(1 - np.arange(1, 10) / 10)
    fit = ClassConformal.fit(p, np.zeros(9, int), level=0.8)
    assert fit.thresholds[0] == pytest.approx(0.8)


def test_rounding_costs_no_rank():
    # (99 + 1) x .55 is 55.00000000000001 in floats; the rank is 55
    p = two(1 - np.arange(1, 100) / 100)
    found = ClassConformal.fit(p, np.zeros(99, int), level=0.55)
    assert found.thresholds[0] == pytest.approx(0.55)


def test_a_class_with_too_few_cases_is_in_every_set():
    # 8 cases: rank ceil(9 x .9) = 9 > 8
    p = two(np.r_[np.full(8, 0.9), np.full(20, 0.1)])
    fit = ClassConformal.fit(p, np.repeat([0, 1], [8, 20]), level=0.9)
    assert np.isinf(fit.thresholds).tolist() == [True, False]
    assert fit.n.tolist() == [8, 20]
    assert fit.sets(two([0.0, 1.0])).tolist() == [[True, True], [True, False]]


def test_sets_of_none_and_of_two_are_not_sure():
    fit = ClassConformal(np.array([0.4, 0.4]), np.array([50, 50]), 0.9)
    sets = fit.sets(two([0.9, 0.5, 0.1]))
    assert sets.tolist() == [[True, False], [False, False], [False, True]]
    assert not_sure(sets).tolist() == [False, True, False]
    assert not_sure([[True, True]]).tolist() == [True]


def test_every_class_is_covered_as_promised():
    # Coverage of a class given its n calibration rows is Beta(m, n + 1 - m), m = ceil((n + 1) .9);
    # m / (n + 1) on average, with variance q (1 - q) / (n + 2). Each of 300 repeats also tests
    # about as many rows of the class, which adds at most q (1 - q) / n_test. 4 standard errors.
    rng = np.random.default_rng(0)
    repeats, found = 300, []
    for _ in range(repeats):
        fit = ClassConformal.fit(*drawn(500, rng), level=0.9)
        p, true = drawn(500, rng)
        hit = fit.sets(p)[np.arange(500), true]
        found.append([hit[true == k].mean() for k in (0, 1)])
    for k, n in ((0, 450), (1, 50)):
        q = np.ceil((n + 1) * 0.9) / (n + 1)
        error = np.sqrt(q * (1 - q) * (1 / n + 1 / n) / repeats)
        # n itself varies from draw to draw, and q with it, between .9 and .9 + 1 / (n + 1)
        mean = np.mean([row[k] for row in found])
        assert 0.9 - 4 * error < mean < 0.9 + 1 / (0.7 * n) + 4 * error


def test_a_single_threshold_would_miss_the_rare_class():
    # what class-conditional sets are for: one threshold over all rows covers the rare class less
    rng = np.random.default_rng(1)
    p, true = drawn(20_000, rng)
    scores = np.sort(1 - p[np.arange(true.size), true])
    pooled = scores[int(np.ceil((true.size + 1) * 0.9)) - 1]
    q, new = drawn(20_000, rng)
    assert (1 - q[new == 1, 1] <= pooled).mean() < 0.6
    assert ClassConformal.fit(p, true).sets(q)[new == 1, 1].mean() == pytest.approx(0.9, abs=0.03)


def test_probabilities_of_other_classes_are_refused():
    fit = ClassConformal.fit(two([0.9, 0.1]), [0, 1])
    with pytest.raises(InputError, match="3 classes, calibrated for 2"):
        fit.sets([[0.2, 0.3, 0.5]])


def test_a_rare_class_may_share_the_threshold_of_all_rows_and_is_promised_nothing():
    # 8 scores of .1 and 20 of .1 .. : at .9 class 0 has too few, all 28 rows have rank 27
    scores = np.r_[np.full(8, 0.1), np.linspace(0.02, 0.4, 20)]
    p = two(np.r_[1 - scores[:8], scores[8:]])
    fit = ClassConformal.fit(p, np.repeat([0, 1], [8, 20]), level=0.9, pool_rare=True)
    assert fit.promised.tolist() == [False, True]
    # ceil(29 x .9) = 27th smallest of the 28: the second largest of the linspace
    assert fit.thresholds[0] == pytest.approx(0.38)
    assert fit.sets(two([0.05])).tolist() == [[False, True]]
