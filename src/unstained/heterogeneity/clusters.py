"""Which cells are alike, and which variables go together: two trees over one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings

__all__ = ["ClusterSettings", "Clusters", "Stability", "cluster_cells", "cut_stability", "scaled"]

_LINKAGES = ("average", "complete", "single", "ward", "weighted", "centroid", "median")
_SCALES = ("log2", "fold", "z")
_MOST = 20_000  # cells; their distances take 1.6 GB


@dataclass(frozen=True)
class ClusterSettings:
    """How trees are made and cut.

    Attributes
    ----------
    clusters : int
        Into which the tree of cells is cut; 3 as there are three phenotypes.
    scale : {"log2", "fold", "z"}
        What is clustered and drawn: log2 of the fold change against the variable's mean, the fold
        change itself, or the distance from the mean in standard deviations.
    linkage, metric : str
        Of the tree of cells, as SciPy names them. Ward's needs ``euclidean``.
    variable_linkage, variable_metric : str
        Of the tree of variables. 1 - r (``correlation``), so that a variable that varies little
        may still go with one that varies much.
    """

    clusters: int = 3
    scale: str = "log2"
    linkage: str = "ward"
    metric: str = "euclidean"
    variable_linkage: str = "average"
    variable_metric: str = "correlation"

    def __post_init__(self) -> None:
        check_settings(self, {"scale": _SCALES}, least={"clusters": 1})
        for linkage, metric in (
            (self.linkage, self.metric),
            (self.variable_linkage, self.variable_metric),
        ):
            if linkage not in _LINKAGES:
                raise InputError(f"linkage {linkage!r}", f"choose {', '.join(_LINKAGES)}")
            if linkage in ("ward", "centroid", "median") and metric != "euclidean":
                raise InputError(
                    f"linkage {linkage} with metric {metric}", "it needs the metric euclidean"
                )


class Clusters(NamedTuple):
    """What `cluster_cells` found.

    Attributes
    ----------
    scaled : (N, K) float array
        What was clustered.
    cell_tree : (N - 1, 4) float array
        SciPy's linkage matrix.
    variable_tree : (K - 1, 4) float array
        Empty for one variable.
    cell_order : (N,) int array
        Cells from left to right under their tree.
    variable_order : (K,) int array
    cluster : (N,) int array
        From 1 on, numbered from left to right under the tree.
    """

    scaled: Array
    cell_tree: Array
    variable_tree: Array
    cell_order: Array
    variable_order: Array
    cluster: Array


class Stability(NamedTuple):
    """How far a cut comes back from other cells.

    Attributes
    ----------
    rand : float
        Mean adjusted Rand index: 1 where the cut comes back, 0 where it is chance.
    low, high : float
        Of its middle 90 % of draws.
    structureless : float
        The same of data without clusters (one normal distribution of the same covariance).
    p : float
        Share of structureless tables that are at least as stable, by (1 + b) / (1 + m).
    """

    rand: float
    low: float
    high: float
    structureless: float
    p: float


def scaled(values: npt.ArrayLike, scale: str) -> Array:
    """Values (N, K) as log2 fold change, fold change or z score of each variable.

    Raises
    ------
    InputError
        No table of (N, K).
    DataError
        A value that is not finite, a variable whose mean is not positive, or for log2 a value that
        is not.
    """
    x = np.asarray(values, np.float64)
    if x.ndim != 2:
        raise InputError(f"values {x.shape}", "give (N, K), a row for each cell")
    if not np.isfinite(x).all():
        raise DataError("some values are not finite", "leave these cells out")
    mean = x.mean(axis=0)
    if scale == "z":
        return np.asarray((x - mean) / x.std(axis=0))
    if (mean <= 0).any() or (scale == "log2" and (x <= 0).any()):
        raise DataError(
            f"a {'mean' if (mean <= 0).any() else 'value'} is not positive: it has no fold change",
            "leave such cells out, or choose --scale z",
        )
    fold = x / mean
    return np.asarray(np.log2(fold) if scale == "log2" else fold)


def cluster_cells(values: npt.ArrayLike, settings: ClusterSettings | None = None) -> Clusters:
    """Grow a tree of cells and one of variables, and cut that of cells.

    Parameters
    ----------
    values : (N, K) float array
        Finite, none constant.
    settings : ClusterSettings, optional

    Raises
    ------
    InputError
        No table of (N, K), or a metric that SciPy does not know.
    DataError
        Fewer cells than clusters, more than 20,000 cells, values that are not finite or that the
        scale refuses.
    """
    from scipy.cluster.hierarchy import leaves_list

    chosen = settings or ClusterSettings()
    x = scaled(values, chosen.scale)
    n, k = x.shape
    if n < max(2, chosen.clusters):
        raise DataError(
            f"{n} cells for {chosen.clusters} clusters", "give more cells, or lower --clusters"
        )
    if n > _MOST:
        raise DataError(
            f"{n} cells: their distances need {n**2 * 4e-9:.1f} GB",
            f"choose up to {_MOST} with --where or --frame",
        )
    cell_tree = _tree(x, chosen.linkage, chosen.metric)
    variable_tree = np.empty((0, 4))
    variable_order = np.arange(k)
    if k > 1:
        variable_tree = _tree(x.T, chosen.variable_linkage, chosen.variable_metric)
        variable_order = leaves_list(variable_tree)
    order = leaves_list(cell_tree)
    return Clusters(
        x, cell_tree, variable_tree, order, variable_order, _cut(cell_tree, chosen.clusters, order)
    )


def cut_stability(
    x: npt.ArrayLike,
    settings: ClusterSettings,
    *,
    groups: npt.ArrayLike | None = None,
    draws: int = 10,
    tables: int = 39,
    most: int = 1000,
    seed: int = 0,
) -> Stability:
    """Does the cut come back from other cells of the same kind [1]_?

    Two random 80 % of the cells are clustered each; the adjusted Rand index [2]_ compares the
    cuts on the cells that both hold. Subsets rather than a bootstrap, since a cell drawn twice
    would be a cluster of its own. The tree of any cloud of points can be cut, and an elongated
    cloud is cut at much the same place each time: hence the same for normal tables of equal mean
    and covariance, which hold no clusters. Only what lies above these speaks for clusters. Each
    of these tables is treated as the data are, with as many pairs: a mean of many pairs against
    single ones would be beaten by their scatter.

    With groups (such as the donor of each cell), the index says whether each group shows the
    clusters of the others: its cells are cut on their own, and beside that each goes to the
    nearest mean of the clusters that the other groups' cells make, as prediction strength [3]_
    does with random halves. Cells of one donor are alike, so that random halves bring back also
    a cluster that is a donor; across donors it does not come back.

    Parameters
    ----------
    x : (N, K) float array
        As clustered (`Clusters.scaled`).
    settings : ClusterSettings
    groups : (N,) array, optional
        What is independent.
    draws : int
        Pairs of subsets, of the data and of each structureless table; not used with groups, whose
        round is the same each time.
    tables : int
        Structureless ones; p is at least 1 / (tables + 1), 0.025 by default.
    most : int
        Cells that are drawn from, for speed: 400 pairs of 1000 cells take some 12 s.
    seed : int

    Returns
    -------
    Stability
        All NaN for one cluster. With groups, `low` and `high` are of the groups.

    Raises
    ------
    DataError
        Fewer than two groups with two cells for each cluster.

    References
    ----------
    .. [1] Ben-Hur, Elisseeff, Guyon (2002), Pac Symp Biocomput 7:6.
    .. [2] Hubert, Arabie (1985), J Classification 2:193, doi 10.1007/BF01908075.
    .. [3] Tibshirani, Walther (2005), J Comput Graph Stat 14:511, doi 10.1198/106186005X59243.
    """
    data = np.asarray(x, np.float64)
    if settings.clusters == 1:
        return Stability(*[float("nan")] * 5)
    rng = np.random.default_rng(seed)
    group = None if groups is None else np.asarray(groups).astype(str)
    if len(data) > most:
        some = rng.choice(len(data), most, replace=False)
        data, group = data[some], None if group is None else group[some]
    # a singular covariance is fine: draw along the principal axes
    centered = data - data.mean(axis=0)
    _, size, axes = np.linalg.svd(centered / np.sqrt(max(len(data) - 1, 1)), full_matrices=False)

    def structureless() -> Array:
        return np.asarray(rng.normal(size=(len(data), size.size)) * size @ axes + data.mean(axis=0))

    if group is None:

        def index_of(table: Array) -> Array:
            return np.array([_agreement_of_halves(table, settings, rng) for _ in range(draws)])
    else:

        def index_of(table: Array) -> Array:
            return _across_groups(table, settings, group)

    index = index_of(data)
    null = [index_of(structureless()).mean() for _ in range(tables)]
    low, high = np.quantile(index, [0.05, 0.95])
    mean = float(index.mean())
    p = float((1 + np.sum(np.array(null) >= mean)) / (1 + tables))
    return Stability(mean, float(low), float(high), float(np.mean(null)), p)


def _across_groups(data: Array, settings: ClusterSettings, group: Array) -> Array:
    """(G,) adjusted Rand index of each group's own cut and of what the others' cut makes of it."""
    from scipy.spatial.distance import cdist
    from sklearn.metrics import adjusted_rand_score

    metric: Any = settings.metric
    index = []
    names, cells = np.unique(group, return_counts=True)
    large = names[cells >= 2 * settings.clusters]
    if large.size < 2:
        raise DataError(
            f"{large.size} groups have {2 * settings.clusters} cells or more, to be cut alone",
            "two are needed: give more cells of each, or no --groups",
        )
    for name in large:
        own, others = data[group == name], data[group != name]
        cut = _cut(_tree(others, settings.linkage, settings.metric), settings.clusters)
        means = [others[cut == c].mean(axis=0) for c in range(1, settings.clusters + 1)]
        near = cdist(own, np.array(means), metric).argmin(axis=1)
        alone = _cut(_tree(own, settings.linkage, settings.metric), settings.clusters)
        index.append(float(adjusted_rand_score(near, alone)))
    return np.array(index)


def _agreement_of_halves(data: Array, settings: ClusterSettings, rng: np.random.Generator) -> float:
    from sklearn.metrics import adjusted_rand_score

    n = len(data)
    size = max(settings.clusters, round(0.8 * n))
    cuts = np.zeros((2, n), int)
    for cut in cuts:
        rows = rng.choice(n, size, replace=False)
        tree = _tree(data[rows], settings.linkage, settings.metric)
        cut[rows] = _cut(tree, settings.clusters)
    both = (cuts > 0).all(axis=0)
    return float(adjusted_rand_score(cuts[0, both], cuts[1, both]))


def _tree(x: Array, linkage: Any, metric: Any) -> Array:
    from scipy.cluster.hierarchy import linkage as grow

    try:
        return np.asarray(grow(x, method=linkage, metric=metric))
    except ValueError as error:
        raise InputError(
            f"no tree by {linkage} linkage of {metric} distances ({error})",
            "choose metrics that SciPy's pdist knows, such as euclidean or correlation",
        ) from error


def _cut(tree: Array, clusters: int, order: Array | None = None) -> Array:
    """(N,) cluster from 1 on; with `order`, numbered as they first appear in it.

    What the first N - clusters merges made. SciPy's `cut_tree` gives too few clusters where a
    merge lies below an earlier one, as centroid and median linkage have them.
    """
    n = len(tree) + 1
    top = np.arange(n + len(tree))
    for i in range(n - clusters - 1, -1, -1):  # a branch belongs where its parent does
        top[tree[i, :2].astype(int)] = top[n + i]
    cut = np.unique(top[:n], return_inverse=True)[1]
    if order is None:
        return np.asarray(cut + 1)
    number = {int(c): i + 1 for i, c in enumerate(dict.fromkeys(cut[order].tolist()))}
    return np.array([number[int(c)] for c in cut])
