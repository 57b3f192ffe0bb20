import numpy as np
import pytest
from scipy import stats

from unstained.errors import InputError
from unstained.statistics import corrected_t_test, holm, mcnemar, paired_test, stars


def test_wilcoxon_of_six_gains_is_2_over_64():
    # all six differences positive: one of 2^6 sign patterns, two-sided 2 / 64
    gain = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    found = paired_test(0.7 + gain, np.full(6, 0.7))
    assert found.p == pytest.approx(2 / 64)
    assert found.difference == pytest.approx(0.035)
    assert found.n == 6


def test_paired_t_by_hand():
    # differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt(3); two-sided with 2 degrees of freedom
    found = paired_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], test="t")
    assert found.p == pytest.approx(2 * stats.t.sf(2 * np.sqrt(3), 2))


def test_pairing_matters():
    # the unit effect (0 ... 9) hides the gain from an unpaired test, not from a paired one
    rng = np.random.default_rng(0)
    unit = np.arange(10.0)
    a, b = unit + 0.5 + rng.normal(0, 0.05, 10), unit
    assert paired_test(a, b, test="t").p < 1e-6 < stats.ttest_ind(a, b).pvalue


def test_equal_models_have_p_1():
    assert paired_test([0.5, 0.6], [0.5, 0.6]).p == 1.0


def test_gains_that_tie_have_no_p():
    # 0.75 - 0.45 and 0.875 - 0.575 differ in the last bit: a spread of rounding is none
    a, b = [0.75, 0.875, 0.5], [0.45, 0.575, 0.2]
    assert 0 < np.ptp(np.subtract(a, b)) < 1e-15
    found = [paired_test(a, b, test="t"), corrected_t_test(a, b, n_train=16, n_test=8)]
    assert [f.difference for f in found] == pytest.approx([0.3, 0.3])
    p = [f.p for f in found]
    assert np.isnan(p).all()
    assert np.isnan(holm(p)).all()
    assert stars(p[0]) == ""


def test_two_folds_have_no_p():
    # equal methods on 2 folds of 8 images often differ by as many images in both
    found = corrected_t_test([0.75, 0.875], [0.5, 0.75], n_train=8, n_test=8)
    assert found.difference == pytest.approx((0.25 + 0.125) / 2)
    assert np.isnan(found.p)


def test_unpaired_lengths_are_refused():
    with pytest.raises(InputError, match="unit by unit"):
        paired_test([1.0, 2.0], [1.0])


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 x 4 3 2 1 = .04 .06 .06 .04, made monotone: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_does_not_count_tests_that_were_not_made():
    corrected = holm([0.02, np.nan, 0.03])
    assert corrected[[0, 2]] == pytest.approx([0.04, 0.04])
    assert np.isnan(corrected[1])


@pytest.mark.parametrize(
    ("p", "drawn"),
    [(0.2, "ns"), (0.05, "*"), (0.01, "**"), (0.0009, "***"), (1e-5, "****"), (np.nan, "")],
)
def test_stars(p, drawn):
    assert stars(p) == drawn


def test_the_corrected_t_by_hand():
    # differences 1, 2, 3: mean 2, variance 1, k = 3; n_test / n_train = 10 / 90 = 1/9:
    # t = 2 / sqrt(1/3 + 1/9) = 3, 2 degrees of freedom
    found = corrected_t_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], n_train=90, n_test=10)
    assert found.p == pytest.approx(2 * stats.t.sf(3.0, 2))
    assert found.difference == 2.0
    assert found.test == "corrected t"


def test_folds_that_share_training_rows_need_the_correction():
    # two classifiers that guess, 10 x 10-fold cross-validation of 100 rows: each repeat permutes
    # the same 100 right-or-wrong rows, so 100 fold scores carry the evidence of 100 rows
    rng = np.random.default_rng(0)
    plain, corrected = 0, 0
    for _ in range(200):
        gain = rng.integers(0, 2, 100) - rng.integers(0, 2, 100)
        folds = [rng.permutation(gain).reshape(10, 10).mean(axis=1) for _ in range(10)]
        d = np.concatenate(folds)
        plain += paired_test(d, np.zeros(100), test="t").p < 0.05
        corrected += corrected_t_test(d, np.zeros(100), n_train=90, n_test=10).p < 0.05
    # binomial at .05: mean 10, standard deviation 3.1
    assert corrected < 10 + 4 * 3.1 < plain


def test_equal_differences_need_no_variance():
    assert corrected_t_test([1.0] * 3, [1.0] * 3, n_train=9, n_test=1).p == 1.0
    assert np.isnan(corrected_t_test([2.0] * 3, [1.0] * 3, n_train=9, n_test=1).p)


def test_mcnemar_of_few_rows_is_the_binomial():
    # only a right: 5, only b right: 1; P(X <= 1 of 6) = 7 / 64, two-sided 14 / 64
    true = np.zeros(10, int)
    a = np.r_[np.zeros(5, int), 1, np.zeros(4, int)]
    b = np.r_[np.ones(5, int), 0, np.zeros(4, int)]
    found = mcnemar(true, a, b)
    assert (found.only_a, found.only_b) == (5, 1)
    assert found.p == pytest.approx(14 / 64)
    assert found.difference == pytest.approx(0.4)
    assert found.test == "exact"


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 9), (10, 14), (15, 10), (40, 20), (30, 30)])
def test_mcnemar_is_that_of_statsmodels(only_a, only_b):
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    right_a = np.repeat([1, 0, 1, 0], [only_a, only_b, 50, 7])
    right_b = np.repeat([0, 1, 1, 0], [only_a, only_b, 50, 7])
    found = mcnemar(np.ones(right_a.size), right_a, right_b)
    exact = only_a + only_b < 25
    if only_a == only_b and not exact:
        assert found.p == 1.0  # theirs takes (|0| - 1)^2
    else:
        expected = theirs([[50, only_a], [only_b, 7]], exact=exact, correction=True)
        assert found.p == pytest.approx(expected.pvalue)


def test_classifiers_that_never_differ_have_p_1():
    assert mcnemar(["x", "y"], ["x", "x"], ["x", "x"]).p == 1.0
