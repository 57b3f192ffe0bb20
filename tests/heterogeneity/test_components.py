"""Principal components, and what two sets of variables share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from unstained.errors import DataError, InputError
from unstained.heterogeneity.components import principal_components
from unstained.heterogeneity.effects import differences, hedges_g
from unstained.heterogeneity.marker_shape import Orthogonality, correlations, orthogonality

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    return rng.normal(size=(80, 4)) @ rng.normal(size=(4, 4)) * (1, 10, 100, 1000)


def test_components_are_scikit_learns_up_to_the_sign(values):
    found = principal_components(values, NAMES, draws=10)
    theirs = PCA().fit(StandardScaler().fit_transform(values))
    np.testing.assert_allclose(found.explained, theirs.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(found.vectors.T), np.abs(theirs.components_))
    scores = theirs.transform(StandardScaler().fit_transform(values))
    np.testing.assert_allclose(np.abs(found.scores), np.abs(scores), atol=1e-9)


def test_the_largest_entry_of_a_component_is_positive(values):
    for sign in (1, -1):
        vectors = principal_components(sign * values, NAMES, draws=2).vectors
        assert (vectors[np.abs(vectors).argmax(axis=0), np.arange(4)] > 0).all()


def test_what_a_biplot_draws_are_correlations_with_the_scores(values):
    found = principal_components(values, NAMES, draws=2)
    r = pearsonr(values[:, 2], found.scores[:, 1]).statistic
    assert found.correlations[2, 1] == pytest.approx(r)
    assert np.square(found.correlations).sum(axis=1) == pytest.approx(np.ones(4))


def test_intervals_over_four_donors_hold_what_they_promise():
    # a cause that donors differ in nearly as much as their cells (variance 0.81 + 1), in three
    # variables with noise of their own, and a fourth variable: their correlations' eigenvalues.
    # A bootstrap over the donors holds 0.75 of the first, third and fourth
    noise = np.array([0.5, 1.0, 2.0])
    covariance = np.eye(4)
    covariance[:3, :3] = 1.81 + np.diag(noise**2)
    sd = np.sqrt(covariance.diagonal())
    truth = np.linalg.eigvalsh(covariance / np.outer(sd, sd))[::-1] / 4
    donor, held = np.repeat(range(4), 25), np.zeros(4)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        cause = 0.9 * rng.normal(size=4)[donor] + rng.normal(size=100)
        x = cause[:, None] + noise * rng.normal(size=(100, 3))
        found = principal_components(
            np.column_stack([x, rng.normal(size=100)]), tuple("abcd"), groups=donor
        )
        held += (found.low <= truth) & (truth <= found.high)
    assert (held / 150 > 0.88).all()


def test_intervals_hold_the_truth_and_widen_over_donors():
    # two variables with r = 0.6: the first component explains (1 + 0.6) / 2
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 400)
    cells = principal_components(x, ("a", "b"), draws=200)
    assert cells.low[0] < 0.8 < cells.high[0]
    twice = np.repeat(x[:40], 10, axis=0)  # ten equal cells of each of 40 donors
    alone = principal_components(twice, ("a", "b"), draws=200)
    donors = principal_components(twice, ("a", "b"), groups=np.repeat(np.arange(40), 10), draws=200)
    assert donors.high[0] - donors.low[0] > 2 * (alone.high[0] - alone.low[0])


def test_in_noise_the_first_component_explains_what_it_does_and_no_more():
    # five variables that nothing joins explain a fifth each
    x = np.random.default_rng(0).standard_normal((60, 5))
    found = principal_components(x, tuple("abcde"), draws=400)
    assert (found.low <= found.explained).all()
    assert (found.explained <= found.high).all()
    # in samples of the sample it explains 0.30 on average, from 0.26 to 0.36
    assert found.low[0] < 0.24
    assert found.high[0] < 0.34


def test_one_variable_and_constants_are_refused(values):
    with pytest.raises(DataError, match="two variables"):
        principal_components(values[:, :1], ("a",))
    with pytest.raises(DataError, match="b is the same"):
        principal_components(np.where([1, 0, 1, 1], values, 5), NAMES)


def test_a_set_has_all_in_common_with_itself():
    x = np.random.default_rng(0).normal(size=(200, 3))
    found = orthogonality(x, 7 * x + 2, draws=99)
    assert found.rv == pytest.approx(1)
    assert found.value == pytest.approx(0)
    assert found.p == pytest.approx(1 / 100)


def test_rv_of_two_columns_is_the_squared_correlation():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    found = orthogonality(x[:, None], y[:, None], draws=9)
    assert found.rv == pytest.approx(pearsonr(x, y).statistic ** 2)


def test_chance_is_what_random_pairings_have_on_average():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(30, 3))
    rv = [orthogonality(x, y[rng.permutation(30)], draws=1).rv for _ in range(400)]
    assert np.mean(rv) == pytest.approx(orthogonality(x, y, draws=1).chance, rel=0.05)


def test_independent_sets_are_orthogonal_whatever_the_number_of_variables():
    rng = np.random.default_rng(2)
    found = [
        orthogonality(rng.normal(size=(40, 8)), rng.normal(size=(40, 12)), draws=19)
        for _ in range(40)
    ]
    assert np.mean([f.rv for f in found]) > 0.15  # of plain RV chance makes this much
    assert np.mean([f.value for f in found]) == pytest.approx(1, abs=0.02)


def test_what_chance_puts_above_one_is_told_as_one():
    found = Orthogonality(1.153, 0.22, 1.38, 0.1, 0.2, 0.9, 6).within_range()
    assert found[:3] == (1.0, 0.22, 1.0)
    assert found[3:] == (0.1, 0.2, 0.9, 6)


def test_the_interval_holds_the_true_value_at_its_coverage():
    # r = 0.5 between two single variables: RV = 0.25, orthogonality 0.75
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(40):
        x = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 200)
        found = orthogonality(x[:, :1], x[:, 1:], draws=199, seed=seed)
        held += found.low <= 0.75 <= found.high
    assert held >= 34  # of 40 at 95 %: fewer in 1 of 300 cases


def test_what_donors_differ_by_is_not_called_common():
    rng = np.random.default_rng(0)
    donor = np.repeat(np.arange(6), 30)
    shift = 5 * rng.normal(size=6)[donor, None]
    x, y = shift + rng.normal(size=(180, 2)), shift + rng.normal(size=(180, 2))
    assert orthogonality(x, y, draws=99).value < 0.4
    within = orthogonality(x, y, groups=donor, draws=99)
    assert within.value > 0.95
    assert within.p > 0.05


def test_correlations_of_cells_are_scipys():
    x, y = np.random.default_rng(0).normal(size=(2, 60))
    row = correlations(x[:, None], (x + y)[:, None], (["a"], ["b"])).iloc[0]
    theirs = pearsonr(x, x + y)
    assert row["r"] == pytest.approx(theirs.statistic)
    low, high = theirs.confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["p_holm"] == row["p"] < 1e-6


def test_correlations_within_donors_rest_on_donors():
    # r of opposite sign in two donors: on average nothing, and two donors say little
    t = np.arange(10.0)
    x, y = np.r_[t, t], np.r_[t + [1, -1] * 5, -t + [1, -1] * 5]
    row = correlations(x[:, None], y[:, None], (["a"], ["b"]), groups=[0] * 10 + [1] * 10).iloc[0]
    assert abs(row["r"]) < 0.3
    assert row["low"] < -0.9
    assert row["high"] > 0.9
    with pytest.raises(DataError, match="1 groups have 4 cells"):
        correlations(x[:, None], y[:, None], (["a"], ["b"]), groups=[0] * 20)


def test_the_interval_of_orthogonality_over_few_donors_is_that_without_each():
    rng, donor = np.random.default_rng(0), np.repeat(range(4), 20)
    cause = rng.normal(size=(80, 1))
    x, y = cause + rng.normal(size=(80, 2)), cause + rng.normal(size=(80, 3))
    found = orthogonality(x, y, groups=donor, draws=9)

    def less_chance(rv):
        return 1 - (rv - found.chance) / (1 - found.chance)

    without = np.array(
        [
            less_chance(orthogonality(x[kept], y[kept], groups=donor[kept], draws=9).rv)
            for kept in (donor != d for d in range(4))
        ]
    )
    # Student's t of three degrees of freedom: 3.182
    half = 3.182 * np.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum())
    assert found.low == pytest.approx(found.value - half, abs=1e-4)
    assert found.high == pytest.approx(found.value + half, abs=1e-4)


def test_one_missing_value_is_told_and_gives_no_p() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    x[0, 0] = np.nan
    for made in (
        lambda: orthogonality(x, y),
        lambda: orthogonality(y, x),
        lambda: principal_components(x, list("abcd")),
    ):
        with pytest.raises(DataError, match="some values are not finite"):
            made()


def test_a_coverage_in_percent_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    for made in (
        lambda: orthogonality(x, x[:, :2], level=95),
        lambda: correlations(x, x[:, :2], (list("abcd"), list("xy")), level=95),
        lambda: principal_components(x, list("abcd"), level=95),
        lambda: hedges_g(x[:, 0], x[:, 1], level=95),
        lambda: differences(x, list("abcd"), np.tile(["u", "v"], 15), level=95),
    ):
        with pytest.raises(InputError, match="level 95; give a coverage between 0 and 1"):
            made()
