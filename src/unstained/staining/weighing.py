"""Weight training pairs so that their mix of amounts is that of the cells a model is meant for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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

_DIGITS = 4  # of a weight: it has an error of some tenths
_LARGER = 2  # times the side of the pairs' images: no image of one cell


@dataclass(frozen=True)
class Weighed:
    """Pairs with weights, and what they mean.

    Attributes
    ----------
    pairs : Pairs
        With the column `weight`: mean 1 over the training fields and over the validation fields.
        Weights of 0 stay; others are replaced; what is in neither part has none.
    new, unlike : int
        Fields that the weights are to serve; of these, how many no pair is like.
    known : int
        Weighted training fields.
    alike : float
        Of how many equally weighted ones they are worth.
    mean_before, mean_after, mean_predicted : dict of str to float
        For each marker, the mean amount of the training fields, the same by weight, which
        estimates that of the new ones, and the mean that the model predicts for the new ones.
    """

    pairs: Pairs
    new: int
    unlike: int
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
    iterations: int = 4,
    options: PredictOptions | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Weighed:
    """Weights under which the pairs have the amounts that `new` fields seem to have.

    Of the new fields only label-free planes are read. The model predicts their amounts of stain (of
    single-cell images the total, of others the mean); how its predictions scatter is measured
    on the pairs of split "validation", which it did not learn from; from both the distribution
    of the new fields' amounts is unfolded (`statistics.unfold`), once over the training and
    once over the validation fields: each gets the new mix.

    Parameters
    ----------
    panel : Panel
        Trained on these pairs as they are.
    pairs : Pairs
        With the splits of its training.
    new : sequence of Field
        See `images.label_free_fields`; or fields of `pairs`.
    iterations : int
        See `statistics.unfold`; more where predictions tell little.
    options : PredictOptions, optional
    progress : callable
        Called with the share done.

    Raises
    ------
    DataError
        No new fields, or larger ones than images of one cell are; too few validation pairs; a
        pair that lacks one of the markers; no new field that is like any pair.
    """
    names = tuple(m for m in panel.names if m in pairs.markers)
    parts = {split: _known(pairs, names, split) for split in ("train", "validation")}
    known = [field for fields in parts.values() for field in fields]
    single = _single(known, pairs.name)
    new = _checked(new, known, pairs.name, single=single)
    _all_markers(known, names, pairs.name)
    amount = tile_total if single else np.mean
    true = {
        split: np.array([[float(amount(f.read_stain(m))) for m in names] for f in fields])
        for split, fields in parts.items()
    }  # (N, M) each
    asked = [*parts["validation"], *new]
    way = PredictFields.by_panel(panel.of_markers(names), asked, options or PredictOptions())
    predicted = np.empty((len(asked), len(names)))
    for i, (_, _, stains) in enumerate(way.each(asked)):
        predicted[i] = [float(amount(stains[m])) for m in names]
        progress((i + 1) / len(asked))
    of_checked, of_new = np.split(predicted, [len(parts["validation"])])
    try:
        response = Response.fit(true["validation"], of_checked)
        found = {s: unfold(of_new, a, response, iterations=iterations) for s, a in true.items()}
    except InputError as error:
        raise DataError(error.reason, error.remedy, file=pairs.name) from error
    weight_of = {
        _key(field): round(float(w), _DIGITS)
        for split, fields in parts.items()
        for field, w in zip(fields, found[split].weights, strict=True)
    }
    taught, weights = true["train"], found["train"].weights
    return Weighed(
        _with_weights(pairs, weight_of),
        len(new),
        int((~found["train"].familiar).sum()),
        len(taught),
        effective_number(weights),
        dict(zip(names, taught.mean(axis=0).tolist(), strict=True)),
        dict(zip(names, np.average(taught, axis=0, weights=weights).tolist(), strict=True)),
        dict(zip(names, of_new.mean(axis=0).tolist(), strict=True)),
    )


def _known(pairs: Pairs, names: Sequence[str], split: str) -> list[Field]:
    """Fields of one split with one of the markers, except those that are never drawn."""
    fields = pairs.of_split(split).fields()
    found = [f for f in fields if f.weight > 0 and set(names) & set(f.stains)]
    if not found:
        raise DataError(
            f"no {split} pairs of this model's markers ({', '.join(pairs.markers)} in all)",
            "give the pairs that the model was trained on",
            file=pairs.name,
        )
    return found


def _single(known: Sequence[Field], name: str) -> bool:
    """Whether the pairs are images of one cell each."""
    cells = sum(bool(field.row.get("cell")) for field in known)
    if cells not in (0, len(known)):
        raise DataError(
            f"{cells} of {len(known)} fields are single cells",
            "weigh single cells and larger fields apart",
            file=name,
        )
    return cells > 0


def _all_markers(known: Sequence[Field], names: Sequence[str], name: str) -> None:
    lacking = [f.id for f in known if set(names) - set(f.stains)]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(known)} fields lack one of {', '.join(names)}: {lacking[0]}",
            "weigh the pairs of one marker at a time, with --markers",
            file=name,
        )


def _checked(
    new: Sequence[Field], known: Sequence[Field], name: str, *, single: bool
) -> list[Field]:
    """The new fields; where the pairs are of one cell each, so are they, whatever a table says."""
    if not new:
        raise DataError(
            "no images to weight the pairs for",
            "name them with --like, or give a test part",
            file=name,
        )
    if not single:
        return list(new)
    side = _LARGER * max(max(field.shape) for field in known)
    for field in new:
        if max(field.shape) > side:
            raise DataError(
                f"is {field.shape[0]} x {field.shape[1]} px, and the pairs are images of one cell "
                f"of {known[0].shape[0]} x {known[0].shape[1]} px",
                "cut the cells out, or name them in a CSV with phase and region",
                file=field.phase,
            )
    return [replace(field, row={**field.row, "cell": field.id}) for field in new]


def _key(field: Field) -> tuple[str, ...]:
    """What `Pairs.fields` joins rows by."""
    region = "" if field.region is None else str(field.region)
    return field.phase, region, str(field.row.get("cell", "")), str(field.row.get("level", ""))


def _with_weights(pairs: Pairs, weight_of: dict[tuple[str, ...], float]) -> Pairs:
    keys = pairs.table[["phase", "region", "cell", "level"]].itertuples(index=False, name=None)
    column = np.array([weight_of.get(tuple(map(str, key)), np.nan) for key in keys])
    never = (pairs.table["weight"] == 0).to_numpy()
    return replace(pairs, table=pairs.table.assign(weight=np.where(never, 0.0, column)))
