"""How often 95 % intervals over few groups hold the truth: ours, and a bootstrap over groups.

    python benchmarks/intervals.py

Tables are drawn whose truth is known: groups (wells, donors, fields) of 5 to 59 cells in which
y = b x + an offset of the group + noise, where groups differ in b, in x and in the offset; and
wells of 5 to 39 colonies of each of three classes, whose recalls differ from well to well; and
the share of one class in the area of the colonies of one well. Prints the tables of
docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from unstained.colonies.fractions import class_fractions
from unstained.images.image import Array
from unstained.statistics import (
    MANY_GROUPS,
    Interval,
    classification_scores,
    moments_correlation,
    resampled_sums,
)
from unstained.statistics.intervals import Scale

GROUPS = (2, 3, 4, 5, 8, 12, 20, 29)
RECALLS = {"0.95": 0.95, "0.80": 0.80, "0.60": 0.60}
SHARES = {
    "half of them": (0.5, 1.0),
    "0.3": (0.3, 1.0),
    "0.3, twice as large": (0.3, 2.0),
    "0.1, twice as large": (0.1, 2.0),
}
"""Chance that a colony is of the class, and its mean area over that of others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=500, help="drawn for each number of groups")
    given = parser.parse_args()
    print("| groups | " + " | ".join(STATISTICS) + " |")
    print("|---" * (len(STATISTICS) + 1) + "|")
    for groups in GROUPS:
        print(_row(groups, cell_coverage(groups, given.tables)))
    names = [f"recall {name}" for name in RECALLS] + ["macro recall"]
    for sd in (0.0, 0.1):
        print(f"\nrecalls of wells differ by an SD of {sd} of a recall of 0.80")
        print("| wells | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 1) + "|")
        for groups in GROUPS:
            print(_row(groups, recall_coverage(groups, sd, given.tables)))

    print("\n| colonies | " + " | ".join(SHARES) + " |")
    print("|---" * (len(SHARES) + 1) + "|")
    for colonies in (4, 8, 15, 29, 60):
        print(_row(colonies, share_coverage(colonies, given.tables)))


def cell_coverage(groups: int, tables: int) -> tuple[Array, Array]:
    """Shares of tables whose interval holds the truth, (statistics,): ours, the bootstrap."""
    rng = np.random.default_rng(groups)
    held = np.zeros((2, len(STATISTICS)))
    for _ in range(tables):
        moments = _cells(rng, groups)
        for i, (statistic, scale) in enumerate(STATISTICS.values()):
            ours = resampled_sums(moments, statistic, scale=scale)
            drawn = statistic(_draws(rng, groups) @ moments)
            held[:, i] += [_holds(ours, TRUTH[i]), _holds(_percentiles(drawn), TRUTH[i])]
    return held[0] / tables, held[1] / tables


def recall_coverage(groups: int, sd: float, tables: int) -> tuple[Array, Array]:
    """The same of the recalls and their mean; `sd` is between wells, at a recall of 0.80."""
    rng = np.random.default_rng(groups)
    means = np.array(list(RECALLS.values()))
    truth = [*means, means.mean()]
    held = np.zeros((2, len(truth)))
    for _ in range(tables):
        n = rng.integers(5, 40, (groups, means.size))
        shares = np.broadcast_to(means, n.shape)
        if sd > 0:
            weight = 0.8 * 0.2 / sd**2 - 1  # of a beta distribution of this mean and SD
            shares = rng.beta(means * weight, (1 - means) * weight, n.shape)
        hits = rng.binomial(n, shares)
        true, predicted, well = _rows(n, hits)
        found = classification_scores(true, predicted, list(RECALLS), well)
        ours = [found.classes[name].recall for name in RECALLS] + [found.macro["recall"]]
        times = _draws(rng, groups)
        drawn = (times @ hits) / (times @ n)  # (draws, classes)
        boot = [*drawn.T, drawn.mean(axis=1)]
        for i, true_value in enumerate(truth):
            held[0, i] += _holds(ours[i], true_value)
            held[1, i] += _holds(_percentiles(boot[i]), true_value)
    return held[0] / tables, held[1] / tables


def share_coverage(colonies: int, tables: int) -> tuple[Array, Array]:
    """The same of the share of a class in the area of one well's colonies."""
    rng = np.random.default_rng(colonies)
    held = np.zeros((2, len(SHARES)))
    for i, (chance, larger) in enumerate(SHARES.values()):
        truth = chance * larger / (chance * larger + 1 - chance)
        for _ in range(tables):
            of_class = rng.random(colonies) < chance
            area = np.exp(rng.normal(0, 0.6, colonies)) * np.where(of_class, larger, 1)
            columns = {"well": 1, "frame": 0, "area_um2": area, "p_a": 1.0 * of_class}
            found = class_fractions(pd.DataFrame({**columns, "p_other": 1.0 - of_class})).iloc[0]
            times = _draws(rng, colonies)
            drawn = times @ (area * of_class) / (times @ area)
            held[0, i] += found["area_low"] <= truth <= found["area_high"]
            held[1, i] += _holds(_percentiles(drawn), truth)
    return held[0] / tables, held[1] / tables


def _cells(rng: np.random.Generator, groups: int) -> Array:
    """(groups, 6) moments (n, sums of x, y, x^2, y^2, x y) of the cells of each group."""
    return np.array(list(_of_groups(rng, groups)))


def _of_groups(rng: np.random.Generator, groups: int) -> Iterator[Array]:
    for n in rng.integers(5, 60, groups):
        of_x, of_y, of_b = rng.normal(size=3)
        x = of_x + rng.normal(size=n)
        y = (1 + 0.3 * of_b) * x + of_y + rng.normal(size=n)
        yield np.array([n, x.sum(), y.sum(), x @ x, y @ y, x @ y])


def _rows(n: Array, hits: Array) -> tuple[Array, Array, Array]:
    """True class, predicted class (a miss is the next class) and well of each colony."""
    wells, classes = n.shape
    true = np.repeat(np.tile(np.arange(classes), wells), n.ravel())
    well = np.repeat(np.repeat(np.arange(wells), classes), n.ravel())
    first = np.repeat(np.cumsum(n.ravel()) - n.ravel(), n.ravel())
    right = np.arange(true.size) - first < np.repeat(hits.ravel(), n.ravel())
    return true, np.where(right, true, (true + 1) % classes), well


def _draws(rng: np.random.Generator, groups: int) -> Array:
    """(1000, groups) how often each group is drawn."""
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=1000)


def _percentiles(drawn: Array) -> Interval:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float("nan"), float(low), float(high), len(drawn))


def _holds(interval: Interval, truth: float) -> bool:
    return bool(interval.low <= truth <= interval.high)


def _row(groups: int, shares: tuple[Array, Array]) -> str:
    ours, bootstrap = shares
    cells = [f"{a:.2f} ({b:.2f})" for a, b in zip(ours, bootstrap, strict=True)]
    return f"| {groups} | " + " | ".join(cells) + " |"


def _mean(sums: Array) -> Array:
    return np.asarray(sums[..., 2] / sums[..., 0])


def _slope(sums: Array) -> Array:
    n, sx, sy, sxx, _, sxy = np.moveaxis(sums, -1, 0)
    return np.asarray((n * sxy - sx * sy) / (n * sxx - sx**2))


def _upper_limit(sums: Array) -> Array:
    """Of agreement between x and y: mean + 1.96 SD of y - x."""
    n, sx, sy, sxx, syy, sxy = np.moveaxis(sums, -1, 0)
    d, d2 = sy - sx, syy - 2 * sxy + sxx
    return np.asarray(d / n + 1.96 * np.sqrt((d2 - d**2 / n) / (n - 1)))


STATISTICS: dict[str, tuple[Callable[[Array], Array], Scale]] = {
    "mean": (_mean, "plain"),
    "slope": (_slope, "plain"),
    "r": (moments_correlation, "fisher"),
    "limit of agreement": (_upper_limit, "plain"),
}
# of a table of as many groups as make no difference
TRUTH: Any = [
    float(f(_cells(np.random.default_rng(0), 200_000).sum(axis=0))) for f, _ in STATISTICS.values()
]

if __name__ == "__main__":
    assert max(GROUPS) < MANY_GROUPS
    main()
