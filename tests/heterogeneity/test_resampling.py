"""Samples by their sums alone."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.heterogeneity.resampling import Resamples, members_of


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) * (1, 10, 1e4) + (0, 50, 1e6)


@pytest.mark.parametrize(
    "groups", [None, np.arange(60) % 7, np.arange(60) // 20, np.arange(60) // 2]
)
def test_correlations_are_those_of_the_sample_laid_out(values, groups):
    # the same numbers drawn, the rows of what was drawn one below the other
    rng = np.random.default_rng(1)
    members = np.arange(60)[:, None] if groups is None else members_of(60, groups)
    drawn = [members[i] for i in rng.integers(0, len(members), len(members))]
    expected = np.corrcoef(values[np.concatenate(drawn)].T)
    found = Resamples(values, groups).drawn(np.random.default_rng(1))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("many", [7, 30])  # whose sums are kept, and whose are not
def test_each_group_is_left_out_once(values, many):
    group = np.arange(60) % many
    expected = [np.corrcoef(values[group != g].T) for g in range(many)]
    found = list(Resamples(values, [f"{g:02d}" for g in group]).without_each())
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_sample_in_which_a_variable_is_constant_has_no_correlations():
    # b is 1 in group 0 and 3 in group 1; the first seed that draws one group twice
    values = np.array([[0.1, 1.0], [0.7, 1.0], [0.4, 3.0], [0.9, 3.0]])
    groups = np.array([0, 0, 1, 1])
    seed = next(s for s in range(9) if np.ptp(np.random.default_rng(s).integers(0, 2, 2)) == 0)
    assert Resamples(values, groups).drawn(np.random.default_rng(seed)) is None


def test_members_are_the_rows_of_each_group():
    found = [rows.tolist() for rows in members_of(5, ["b", "a", "b", "c", "a"])]
    assert found == [[1, 4], [0, 2], [3]]
    assert [rows.tolist() for rows in members_of(3, None)] == [[0, 1, 2]]
