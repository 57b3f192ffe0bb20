import numpy as np
import pytest
from scipy import stats

from unstained.errors import InputError
from unstained.statistics import holm, paired_test, stars


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


def test_a_constant_gain_is_no_division_by_zero():
    assert paired_test([1.5, 2.5, 3.5], [1.0, 2.0, 3.0], test="t").p == 0.0


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
