"""Trees of cells and variables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from unstained.errors import DataError, InputError
from unstained.heterogeneity.clusters import ClusterSettings, cluster_cells, cut_stability, scaled


@pytest.fixture(scope="module")
def values():
    return np.exp(np.random.default_rng(0).normal(size=(60, 5)))


def test_fold_change_is_against_each_variables_mean():
    # mean of the first is 2: 1 / 2 and 3 / 2; of the second 8: 4 / 8 and 12 / 8
    fold = scaled([[1.0, 4.0], [3.0, 12.0]], "fold")
    assert fold.tolist() == [[0.5, 0.5], [1.5, 1.5]]
    assert scaled([[1.0, 4.0], [3.0, 12.0]], "log2")[0, 0] == -1


def test_trees_are_scipys_and_the_cut_is_scikit_learns(values):
    found = cluster_cells(values, ClusterSettings(clusters=4))
    x = np.log2(values / values.mean(axis=0))
    np.testing.assert_allclose(found.cell_tree, linkage(x, "ward"))
    np.testing.assert_allclose(found.variable_tree, linkage(x.T, "average", "correlation"))
    theirs = AgglomerativeClustering(4, linkage="ward").fit_predict(x)
    assert adjusted_rand_score(theirs, found.cluster) == 1


def test_clusters_are_numbered_from_left_to_right(values):
    found = cluster_cells(values, ClusterSettings(clusters=5, linkage="complete"))
    in_order = found.cluster[found.cell_order]
    assert (np.diff(in_order) >= 0).all()
    assert set(in_order) == {1, 2, 3, 4, 5}


def test_clusters_that_are_there_are_found_again():
    rng = np.random.default_rng(0)
    apart = np.repeat([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]], 40, axis=0)
    stable = cut_stability(
        apart + rng.normal(size=(120, 2)), ClusterSettings(), draws=10, tables=20
    )
    assert stable.rand > 0.95
    assert stable.p == pytest.approx(1 / 21)  # none of 20 structureless tables


def test_a_cloud_without_clusters_is_not_called_stable():
    cloud = np.random.default_rng(0).normal(size=(120, 2)) * (5, 1)
    # a share of 1 / 21 of such clouds is above all 20 tables: this one is not
    stable = cut_stability(cloud, ClusterSettings(), draws=10, tables=20, seed=1)
    assert stable.p > 0.05
    assert abs(stable.rand - stable.structureless) < 0.2


def test_structureless_tables_are_averaged_over_as_many_pairs_as_the_data():
    # three clouds 5 standard deviations apart: their cut comes back in most pairs, not in all.
    # That of a cloud of the same covariance does in some pairs too, but in no mean of ten
    apart = 5 * np.repeat(np.eye(3), 20, axis=0) / np.sqrt(2)
    for seed in (2, 3):
        x = apart + np.random.default_rng(seed).normal(size=(60, 3))
        stable = cut_stability(x, ClusterSettings(), draws=10, tables=39)
        assert 0.8 < stable.rand < 0.9
        assert stable.p == pytest.approx(1 / 40)


def test_clusters_that_are_donors_do_not_come_back_across_donors():
    # four donors far apart: random halves find them again, no donor shows those of the others
    rng = np.random.default_rng(0)
    donor = np.arange(120) % 4
    apart = 8 * rng.normal(size=(4, 5))[donor] + rng.normal(size=(120, 5))
    settings = ClusterSettings(clusters=4)
    of_cells = cut_stability(apart, settings, draws=10, tables=20)
    of_donors = cut_stability(apart, settings, groups=donor, tables=20)
    assert of_cells.rand > 0.95
    assert of_donors.rand < 0.2
    assert of_donors.p > 0.5


def test_clusters_that_all_donors_have_come_back_across_donors():
    rng = np.random.default_rng(0)
    kinds = np.repeat([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]], 40, axis=0)
    x = kinds + rng.normal(size=(120, 2))
    stable = cut_stability(x, ClusterSettings(), groups=np.arange(120) % 4, tables=20)
    assert stable.rand > 0.95
    assert stable.p == pytest.approx(1 / 21)
    with pytest.raises(DataError, match="1 groups have 6 cells or more"):
        cut_stability(x, ClusterSettings(), groups=np.arange(120) < 5, tables=2)
    with pytest.raises(DataError, match="1 groups have 6 cells or more"):
        cut_stability(x, ClusterSettings(), groups=np.zeros(120), tables=2)


@pytest.mark.parametrize(
    "settings",
    [{"linkage": "ward", "metric": "cosine"}, {"linkage": "upwards"}, {"scale": "log"}],
)
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(InputError):
        ClusterSettings(**settings)


def test_too_few_cells_and_unknown_metrics_are_refused(values):
    with pytest.raises(DataError, match="3 clusters"):
        cluster_cells(values[:2])
    with pytest.raises(InputError, match="nearness"):
        cluster_cells(values, ClusterSettings(linkage="average", metric="nearness"))
    with pytest.raises(DataError, match="no fold change"):
        cluster_cells(-values)


@pytest.mark.parametrize("chosen", ["centroid", "median"])
def test_a_cut_has_as_many_clusters_as_asked_for_where_merges_go_down(chosen):
    x = np.exp(np.random.default_rng(0).normal(size=(200, 3)))
    found = cluster_cells(x, ClusterSettings(clusters=5, linkage=chosen))
    assert (np.diff(found.cell_tree[:, 2]) < 0).any()
    assert np.unique(found.cluster).tolist() == [1, 2, 3, 4, 5]


def test_cells_without_a_value_and_a_single_column_are_no_table_to_cluster() -> None:
    values = np.random.default_rng(0).normal(10, 1, (9, 3))
    with pytest.raises(InputError, match="a row for each cell"):
        cluster_cells(values[:, 0])
    values[4, 1] = np.nan
    with pytest.raises(DataError, match="some values are not finite; leave these cells out"):
        cluster_cells(values)
