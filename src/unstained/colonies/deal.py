"""Who is labelled, who is not, who is tested: by group, even in the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array

__all__ = ["MIXED", "UNLABELLED", "Parts", "choose_labelled", "deal", "folds"]

UNLABELLED = -1
"""Code of an image whose class is not known."""

MIXED = -2
"""Code of an image of several classes: it may be learned from, it belongs to none."""


class Parts(NamedTuple):
    """Indices of the images in each part; none is in two.

    Attributes
    ----------
    labelled, validation, test, unlabelled : (N,) int arrays
        `unlabelled` has those whose label is hidden, unknown, or several.
    left_out : (N,) int array
        In a test group without a label that could be scored.
    """

    labelled: Array
    validation: Array
    test: Array
    unlabelled: Array
    left_out: Array


def deal(y: Array, groups: Array, shares: Sequence[float], seed: int) -> Array:
    """The part of each image: whole groups, each part with its share of every class.

    Groups with rare classes go first, of those the large ones, each to the part that lacks
    most of its share of the group's rarest class (then of all). After Sechidis et al. (2011),
    ECML PKDD, doi 10.1007/978-3-642-23808-6_10.

    Parameters
    ----------
    y : (N,) int array
        Any codes; each counts as a class.
    groups : (N,) array
        Images of one group stay together.
    shares : sequence of float
        Of the parts; need not sum to 1.
    seed : int

    Returns
    -------
    (N,) int array
        0 ... parts - 1.
    """
    classes, code = np.unique(y, return_inverse=True)
    names, group = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    count = np.zeros((names.size, classes.size))
    np.add.at(count, (group, code), 1)
    rng = np.random.default_rng(seed)
    total = count.sum(axis=0)
    rarest = np.where(count > 0, total, np.inf).argmin(axis=1)
    order = np.lexsort((rng.random(names.size), -count.sum(axis=1), total[rarest]))
    weight = np.asarray(shares, float)
    target = weight[:, None] / weight.sum() * total  # (S, K)
    lack = np.where(target > 0, target, -np.inf)
    part = np.empty(names.size, int)
    for g in order:
        need = lack[:, rarest[g]] + 1e-3 * lack.sum(axis=1)
        # equal needs are settled by chance, not by position
        best = int(rng.choice(np.flatnonzero(need >= need.max() - 1e-9)))
        part[g] = best
        lack[best] -= count[g]
    return part[group]


def folds(y: Array, groups: Array, k: int, seed: int) -> Array:
    """The fold of each image, 0 ... k - 1: whole groups, even in the classes.

    Raises
    ------
    DataError
        Fewer groups than folds.
    """
    n_groups = np.unique(np.asarray(groups).astype(str)).size
    if k < 2:
        raise InputError(f"{k} folds", "give 2 or more")
    if n_groups < k:
        raise DataError(
            f"{k} folds of {n_groups} groups", "ask for fewer folds, or give more groups"
        )
    return deal(y, groups, [1.0] * k, seed)


def choose_labelled(
    y: Array, groups: Array, n: int, seed: int, validation: float = 0.2
) -> tuple[Array, Array]:
    """Take `n` labelled images and set a share of them aside for validation.

    The chosen keep the classes' shares, with at least two of each class (where there are two): one
    to learn from and one for validation. Where groups allow, validation has groups of its own.

    Parameters
    ----------
    y : (N,) int array
        Codes of 0 and above.
    groups : (N,) array
    n : int
        Images to be labelled.
    seed : int
    validation : float
        Share of them.

    Returns
    -------
    labelled, validation : int arrays
        Positions in `y`.
    """
    position = np.arange(y.size)
    if n < y.size:
        # images, not groups: labels of one group may be shown in part, since the test has others
        shown = deal(y, position, [n, y.size - n], seed) == 0
        for k in np.unique(y):
            of_class = np.flatnonzero(y == k)
            if shown[of_class].sum() < 2:
                shown[of_class[:2]] = True
        position = position[shown]
    if validation <= 0:
        return position, np.empty(0, int)
    units = np.asarray(groups)[position]
    for unit in (units, position):
        aside = deal(y[position], unit, [1 - validation, validation], seed + 1) == 1
        both = [set(y[position[part]].tolist()) for part in (~aside, aside)]
        if both[0] == both[1]:
            return position[~aside], position[aside]
    # classes of two images: one of each to learn from, one to choose by
    aside = np.zeros(position.size, bool)
    for k in np.unique(y[position]):
        of_class = np.flatnonzero(y[position] == k)
        aside[of_class[: max(1, round(validation * of_class.size))]] = True
    return position[~aside], position[aside]
