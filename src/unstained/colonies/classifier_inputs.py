"""What a user gives a classifier, checked: images, labels, groups, validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from .crops import ArrayCrops, Crops
from .deal import MIXED, check_learnable
from .settings import ClassifierSettings

__all__ = [
    "as_codes",
    "as_crops",
    "as_groups",
    "as_positions",
    "check_inputs",
    "check_validation",
    "class_names",
]


def as_crops(images: Iterable[Array] | Crops, masks: Iterable[Array | None] | None) -> Crops:
    """Arrays with their masks as crops; crops as they are."""
    if isinstance(images, Crops):
        if masks is not None:
            raise InputError("masks beside crops that have their own", "give one of them")
        return images
    return ArrayCrops(images, masks)


def as_codes(y: npt.ArrayLike) -> Array:
    """(N,) codes of classes; names are refused."""
    codes = np.asarray(y)
    if codes.dtype.kind not in "iu" or codes.ndim != 1:
        raise InputError(
            f"y is of {codes.dtype} and shape {codes.shape}",
            "give a code for each class from 0, -1 where it is not known; names go to `classes`: "
            "y, classes = pandas.factorize(pandas.Series(names), sort=True)",
        )
    return codes.astype(int)


def as_groups(groups: npt.ArrayLike) -> Array:
    """(N,) groups, none of them blank."""
    names = np.asarray(groups)
    if names.ndim != 1:
        raise InputError(f"groups are of shape {names.shape}", "give one for each image")
    blank = np.flatnonzero(pd.isna(names) | np.array([name == "" for name in names.tolist()]))
    if blank.size:
        raise InputError(
            f"image {blank[0]} has no group", "give each image one, or none to all of them"
        )
    return names


def as_positions(validation: npt.ArrayLike) -> Array:
    """(M,) positions in the labels; a mask is refused."""
    positions = np.asarray(validation)
    if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
        raise InputError(
            f"validation is of {positions.dtype} and shape {positions.shape}",
            "give positions in y; of a mask: numpy.flatnonzero(mask)",
        )
    return positions.astype(int)


def class_names(y: Array, given: Sequence[str] | None) -> tuple[str, ...]:
    """The names that were given, or 0, 1 ...; each once."""
    k = int(y.max(initial=-1)) + 1
    if given is None:
        return tuple(map(str, range(k)))
    if len(given) < k:
        raise InputError(f"{len(given)} class names for codes up to {k - 1}", "name each class")
    names = tuple(map(str, given))
    if len(set(names)) < len(names):
        raise InputError(f"classes are {', '.join(names)}", "give each a name of its own")
    return names


def check_inputs(
    y: Array, crops: Crops, groups: Array, classes: Sequence[str], settings: ClassifierSettings
) -> None:
    """Refuse lengths that differ, codes that mean nothing, and what cannot be learned."""
    file = getattr(crops, "name", None)  # of examples
    if not y.size == len(crops) == groups.size:
        raise InputError(
            f"{len(crops)} images, {y.size} labels, {groups.size} groups", "give one of each"
        )
    if y.size and y.min() < MIXED:
        raise InputError(f"class code {y.min()}", "give 0 and up, -1 unknown, -2 several classes")
    check_learnable(y, classes, settings, file)


def check_validation(positions: Array, y: Array, classes: Sequence[str], file: str | None) -> None:
    """Refuse positions of no labelled image, and a class that is left without one to teach."""
    strange = positions[~np.isin(positions, np.flatnonzero(y >= 0))].tolist()
    if strange:
        raise InputError(
            f"validation has {strange[0]}, which is no position of a labelled image",
            f"give positions in y from 0 to {y.size - 1} whose class is known",
        )
    teaching = np.delete(y, positions)
    untaught = np.flatnonzero(np.bincount(teaching[teaching >= 0], minlength=len(classes)) == 0)
    if untaught.size:
        names = ", ".join(classes[k] for k in untaught.tolist())
        raise DataError(
            f"every labelled image of {names} is in validation",
            "leave one or more to learn from in the train part, or leave the class out",
            file=file,
        )
