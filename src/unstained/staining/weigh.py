"""Weight training pairs so that their mix of amounts is that of the cells a model is meant for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, InputError
from ..statistics import Response, effective_number, unfold
from .predict_fields import PredictFields
from .predictor import PredictOptions
from .totals import tile_total

if TYPE_CHECKING:
    from ..images.fields import Field
    from ..images.pairs import Pairs
    from .panel import Panel

__all__ = ["Weighed", "weigh"]

Array = np.ndarray[Any, Any]
_TAUGHT = ("train", "validation")
_DIGITS = 4  # of a weight: it has an error of some tenths


@dataclass(frozen=True)
class Weighed:
    """Pairs with weights, and what they mean.

    Attributes
    ----------
    pairs : Pairs
        With the column `weight`: mean 1 over the fields of train and validation; empty elsewhere.
    new, known : int
        Fields that the weights are to serve; weighted fields.
    alike : float
        Of how many equally weighted fields the weighted ones are worth.
    mean_before, mean_after, mean_predicted : dict of str to float
        For each marker, the mean amount of the known fields, the same by weight, which estimates
        that of the new ones, and the mean that the model predicts for the new ones.
    """

    pairs: Pairs
    new: int
    known: int
    alike: float
    mean_before: dict[str, float]
    mean_after: dict[str, float]
    mean_predicted: dict[str, float]


def weigh(
    panel: Panel,
    pairs: Pairs,
    new: Sequence[Field],
    *,
    options: PredictOptions | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Weighed:
    """Weights under which the pairs have the amounts that `new` fields seem to have.

    Of the new fields only label-free planes are read. The model predicts their amounts of stain (of
    single-cell images the total, of others the mean above the background); how its predictions
    scatter is measured on the pairs of split "validation", which it did not learn from; from both
    the distribution of the new fields' amounts is unfolded (`statistics.unfold`), and the pairs of
    train and validation get its ratio to their own as weight.

    Parameters
    ----------
    panel : Panel
        Trained on these pairs as they are.
    pairs : Pairs
        With the splits of its training.
    new : sequence of Field
        See `images.label_free_fields`; or fields of `pairs`.
    options : PredictOptions, optional
    progress : callable
        Called with the share done.

    Raises
    ------
    DataError
        No new fields, too few validation pairs, or a training pair that lacks one of the markers.
    """
    names = tuple(m for m in panel.names if m in pairs.markers)
    chosen = pairs.of_markers(names)
    known = [f for split in _TAUGHT for f in chosen.of_split(split).fields()]
    _check(known, new, names, pairs.name)
    single = all(bool(field.row.get("cell")) for field in known)
    if single:  # images of one cell each, whatever the table of the new ones says
        new = [replace(field, row={**field.row, "cell": field.id}) for field in new]
    checked = [f for f in known if f.split == "validation"]
    offsets = {m.name: m.offset for m in panel.markers}

    def amount(stain: Array, marker: str) -> float:
        return tile_total(stain) if single else float(np.mean(stain) - offsets[marker])

    true = np.array([[amount(f.read_stain(m), m) for m in names] for f in known])  # (N, M)
    way = PredictFields.by_panel(panel, [*checked, *new], options or PredictOptions())
    predicted = []
    for done, (_, _, stains) in enumerate(way.each([*checked, *new]), 1):
        predicted.append([amount(stains[m], m) for m in names])
        progress(done / (len(checked) + len(new)))
    of_checked, of_new = np.split(np.array(predicted), [len(checked)])
    is_checked = np.array([f.split == "validation" for f in known])
    try:
        response = Response.fit(true[is_checked], of_checked)
    except InputError as error:
        raise DataError(error.reason, error.remedy, file=pairs.name) from error
    weights = unfold(of_new, true, response)
    weight_of = {_key(f): round(float(w), _DIGITS) for f, w in zip(known, weights, strict=True)}
    keys = pairs.table[["phase", "region", "cell", "level"]].itertuples(index=False, name=None)
    column = [weight_of.get(tuple(map(str, key)), np.nan) for key in keys]
    return Weighed(
        replace(pairs, table=pairs.table.assign(weight=column)),
        len(new),
        len(known),
        effective_number(weights),
        dict(zip(names, true.mean(axis=0).tolist(), strict=True)),
        dict(zip(names, np.average(true, axis=0, weights=weights).tolist(), strict=True)),
        dict(zip(names, of_new.mean(axis=0).tolist(), strict=True)),
    )


def _key(field: Field) -> tuple[str, ...]:
    """What `Pairs.fields` joins rows by."""
    region = "" if field.region is None else str(field.region)
    return field.phase, region, str(field.row.get("cell", "")), str(field.row.get("level", ""))


def _check(known: Sequence[Field], new: Sequence[Field], names: Sequence[str], name: str) -> None:
    if not new:
        raise DataError(
            "no images to weight the pairs for",
            "name them with --like, or give a test part",
            file=name,
        )
    lacking = [f.id for f in known if set(names) - set(f.stains)]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(known)} fields lack one of {', '.join(names)}: {lacking[0]}",
            "weigh the pairs of one marker at a time, with --markers",
            file=name,
        )
