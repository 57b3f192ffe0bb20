"""Who is labelled, who is not, who is tested: by group, even in the classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array

__all__ = [
    "MIXED",
    "UNLABELLED",
    "Parts",
    "check_grouped",
    "check_learnable",
    "choose_labelled",
    "deal",
    "folds",
    "hidden",
    "parts",
    "unit_names",
    "units",
]

if TYPE_CHECKING:
    from .examples import Examples
    from .settings import ClassifierSettings

UNLABELLED = -1
"""Code of an image whose class is not known."""

MIXED = -2
"""Code of an image of several classes: it may be learned from, it belongs to none."""


# up to a well (well00, well_B3) or up to the frame of a movie (_frame000, and _f000 of detection)
_SERIES = re.compile(r".*?((?<![a-z])well[ _-]?[a-z]?\d+|(?=[ _/-](frame[ _-]?|f)\d{2}))", re.I)


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
    position, rng = np.arange(y.size), np.random.default_rng(seed)
    if n < y.size:
        # images, not groups: labels of one group may be shown in part, since the test has others
        shown = deal(y, position, [n, y.size - n], seed) == 0
        for k in np.unique(y):
            hidden = rng.permutation(np.flatnonzero((y == k) & ~shown))
            shown[hidden[: max(0, 2 - int(shown[y == k].sum()))]] = True
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
        of_class = rng.permutation(np.flatnonzero(y[position] == k))
        aside[of_class[: min(max(1, round(validation * of_class.size)), of_class.size - 1)]] = True
    return position[~aside], position[aside]


def parts(
    examples: Examples,
    classes: Sequence[str],
    *,
    fold: Array | None = None,
    labelled: float | None = None,
    by: str = "group",
    seed: int = 0,
) -> Parts:
    """Who is labelled, unlabelled and tested.

    A column ``split`` (train, validation, test) is kept to. Otherwise the images for which
    `fold` is true are the test part, or a tenth of the groups where none is given.

    Parameters
    ----------
    examples : Examples
    classes : sequence of str
    fold : (N,) bool array, optional
        The test part.
    labelled : float, optional
        Labelled images as a share of all, classes in proportion; the labels of the others are
        hidden, and they join the unlabelled. All labels are used where not given.
    by : {"group", "image"}
        What is dealt out whole.
    seed : int

    Returns
    -------
    Parts
        `validation` is empty: it is taken from the labelled part in training; unless the
        split names one.

    Raises
    ------
    InputError
        A share that is not within 0 to 1.
    DataError
        The split column is incomplete, puts a group on two sides, or there is one group only.
    """
    y, groups = examples.codes(classes), units(examples, by)
    if labelled is not None and not 0 < labelled <= 1:
        raise InputError(f"a labelled share of {labelled}", "give more than 0 and at most 1")
    split = examples.table["split"].to_numpy(str)
    if (split != "").any() and fold is None:
        check_splits(split, groups, examples.name)
        test, aside = split == "test", split == "validation"
    else:
        test = a_tenth(y, groups, seed, examples.name) if fold is None else fold
        aside = np.zeros(len(y), bool)
    teach = np.flatnonzero(~test & ~aside & (y >= 0))
    if labelled is not None:
        n = min(teach.size, round(labelled * len(y)))
        shown, _ = choose_labelled(y[teach], groups[teach], n, seed, validation=0.0)
        teach = teach[shown]
    hidden = ~test & ~aside
    hidden[teach] = False
    scored = y >= 0
    return Parts(
        labelled=teach,
        validation=np.flatnonzero(aside & scored),
        test=np.flatnonzero(test & scored),
        unlabelled=np.flatnonzero(hidden),
        left_out=np.flatnonzero((test | aside) & ~scored),
    )


def check_grouped(examples: Examples, by: str, *, keeps_split: bool = False) -> list[str]:
    """Refuse to deal out images one by one whose names say that they belong together.

    Parameters
    ----------
    by : {"group", "image"}
        "image" asks for it by name.
    keeps_split : bool
        Whether a column `split` is kept to, which then says who is on which side.

    Returns
    -------
    list of str
        A note where nothing says what belongs together.

    Raises
    ------
    DataError
        No image has a group, and names such as ``well00_frame000_colony001`` put several images
        into one well or movie.
    """
    if by != "group" or examples.grouped:
        return []
    series = [_SERIES.match(name) for name in examples.names().tolist()]
    most = Counter(found.group().casefold() for found in series if found).most_common(1)
    split = keeps_split and bool((examples.table["split"] != "").any())
    if most and most[0][1] > 1 and not split:
        name, n = most[0]
        raise DataError(
            f"gives no image a group, and by their names {n} images are of one well or movie, "
            f"{name!r}",
            "say so in a manifest with a column group (or well): on two sides of a split they "
            "flatter the score; or ask for it by name, --split-by image",
            file=examples.name,
        )
    return [
        "no image has a group: images of one well or movie could be on both sides of the split, "
        "which flatters scores; say which belong together in a manifest with a column group (or "
        "well), or that none do by --split-by image"
    ]


def units(examples: Examples, by: str) -> Array:
    """(N,) names of what is dealt out whole.

    Raises
    ------
    InputError
        `by` is neither group nor image.
    DataError
        There is a single group.
    """
    if by == "image":
        return np.arange(len(examples)).astype(str)
    if by != "group":
        raise InputError(f"split by {by!r}", "choose group or image")
    groups = examples.groups()
    if np.unique(groups).size < 2:
        raise DataError(
            f"all images are of one group, {str(groups[0])!r}: a score on them would say nothing "
            "of another",
            "give more wells or sequences; or ask for it by name, --split-by image",
            file=examples.name,
        )
    return groups


def unit_names(examples: Examples, by: str) -> Array:
    """(N,) names of the `units` that stay when rows come or go: an image is called by its file.

    `units` numbers images without a group, so that the deal of a seed does not hang on names.
    """
    own, group = examples.names(), examples.table["group"].to_numpy(str)
    return own if by == "image" else np.where(group == "", own, group)


def check_splits(split: Array, groups: Array, name: str) -> None:
    """Refuse a split column that is incomplete or puts a group on two sides."""
    for row, text in enumerate(split.tolist()):
        if text not in ("train", "validation", "test"):
            raise DataError(
                f"row {row + 1} has the split {text!r}",
                "give every row train, validation or test, or leave the column out",
                file=name,
            )
    sides: dict[str, set[str]] = {}
    for group, side in zip(groups.tolist(), split.tolist(), strict=True):
        sides.setdefault(group, set()).add(side)
    leaks = [g for g, named in sides.items() if len(named) > 1]
    if leaks:
        raise DataError(
            f"{len(leaks)} groups are on both sides of the split, for example {leaks[0]} in "
            + " and ".join(sorted(sides[leaks[0]])),
            "give all images of a group one split, or leave the column out",
            file=name,
        )


def a_tenth(y: Array, groups: Array, seed: int, name: str) -> Array:
    """(N,) bool: about a tenth of the images, whole groups, every class if groups allow."""
    test = deal(y, groups, [0.9, 0.1], seed) == 1
    if (test & (y >= 0)).any():
        return np.asarray(test)
    # few groups: one of them, if the others still have every class
    classes = set(y[y >= 0].tolist())
    for group in np.random.default_rng(seed).permutation(np.unique(groups)):
        test = groups == group
        if (y[test] >= 0).any() and set(y[~test & (y >= 0)].tolist()) == classes:
            return np.asarray(test)
    raise DataError(
        "no test part can be cut from so few groups",
        "give more wells or sequences, or a column `split`",
        file=name,
    )


def hidden(y: Array, *, multi_label: bool) -> Array:
    """(N,) bool: images used without a label; with `multi_label` also those of several classes."""
    return np.asarray((y == UNLABELLED) | (multi_label & (y == MIXED)))


def check_learnable(
    y: Array, classes: Sequence[str], settings: ClassifierSettings, file: str | None
) -> None:
    """Whether there is enough to learn from.

    Parameters
    ----------
    y : (N,) ints
        Codes of the images that teach, validation among them.
    classes : sequence of str
    settings : ClassifierSettings
    file : str or None
        What an error calls the images.

    Raises
    ------
    DataError
        Fewer than two classes, or than two labelled images of one; no unlabelled images where
        the method learns from them.
    """
    count = np.bincount(y[y >= 0], minlength=len(classes))
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} classes are labelled", "label images of two at least", file=file
        )
    few = [f"{name} has {n}" for name, n in zip(classes, count.tolist(), strict=True) if n < 2]
    if few:
        raise DataError(
            f"too few labelled images: {', '.join(few)}",
            "two of each class are the least, one to learn from and one to choose by; "
            "label more, or leave the class out",
            file=file,
        )
    unlabelled = int(hidden(y, multi_label=settings.multi_label).sum())
    if settings.learns_unlabelled and unlabelled < 2:
        raise DataError(
            f"{settings.method} learns from unlabelled images, and there are "
            f"{unlabelled or 'none'}",
            "add images without a label, hide some labels (--labelled 0.5), "
            "or choose --method supervised",
            file=file,
        )
