"""How the scores grow with the number of training images, and what more of them would bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ...figures import size_curve
from ...images.fields import Region
from ...images.image import Array
from ...images.pairs import Pairs
from ...images.splits import split_pairs
from ...statistics import MIN_GROUPS, holm, paired_test, resampled_interval, stars
from ..score_table import score_interval
from ..settings import TrainSettings
from ..training import Report
from .report import write_study
from .runs import Run, Study, begin_study, groups_of, run_all

__all__ = ["Growth", "fit_growth", "size_study"]

DEFAULT_SIZES = (20, 80, 320, 1280)
DEFAULT_SHARES = (0.125, 0.25, 0.5, 1.0)
_FEW_FIELDS = 8  # fewer training images are cut into parts instead
_NEXT = 100  # pairs whose worth is told
_CURVE = 3  # sizes; a curve has as many numbers
_TRAININGS = 3  # of each size, for a test of a step: two leave one degree of freedom
_SCORES = ("r_s", "r_lap")


class Growth(NamedTuple):
    """``score(n) = limit - loss n^-rate``, a learning curve's usual form."""

    limit: float
    loss: float
    rate: float

    def at(self, n: float) -> float:
        """Score after `n` training images."""
        return float(self.limit - self.loss * n**-self.rate)


def size_study(
    pairs: Pairs,
    out: str | Path,
    settings: TrainSettings,
    *,
    sizes: Sequence[float] = (),
    repeats: int = 1,
    report: Report,
    say: Callable[[str], None] = print,
) -> Study:
    """Train on more and more of the training pairs and score on the same test pairs.

    Larger sets contain the smaller ones. Where there are few training fields, sizes of 1 and
    below are shares of the area of each.

    Parameters
    ----------
    pairs : Pairs
        Split by group first, where it is not.
    out : path
        Folder of the study; an interrupted one goes on.
    settings : TrainSettings
    sizes : sequence of float
        Training images per marker, or shares of each image's area (1 and below). By default
        20, 80, 320, 1280 as in the paper, as far as there are so many, and all there are; with
        fewer than 8 training fields an eighth, a quarter, a half and the whole of their area.
    repeats : int
        Trainings of each size, of different seeds and different images. From three on, steps
        from size to size are tested.
    report, say
        Progress of a training; sentences for the user.

    Raises
    ------
    InputError
        A size is not usable, or `out` holds another study.
    """
    pairs = split_pairs(pairs, seed=settings.seed)
    chosen = _sizes(sizes, pairs.of_split("train"))
    if repeats < 1:
        raise InputError(f"{repeats} repeats", "give 1 or more")
    out = Path(out)
    begin_study(out, "size", pairs, settings)
    most = max(chosen)
    cut = [f"{size:g}" for size in sorted(sizes) if size > most]
    if cut:
        say(
            f"{most:g} training images of each marker are all there are: "
            f"{', '.join(cut)} became {most:g}"
        )
    test = {"test": pairs.of_split("test")}
    runs = {
        (size, repeat): Run(
            f"size-{size:g}-{repeat}",
            _subset(pairs, size, settings.seed + repeat),
            test,
            settings.seed + repeat,
        )
        for size in chosen
        for repeat in range(repeats)
    }
    scores = run_all(list(runs.values()), out, settings, report=report, say=say)
    what = {run.name: condition for condition, run in runs.items()}
    size, repeat = (scores["run"].map({name: c[i] for name, c in what.items()}) for i in (0, 1))
    scores = scores.assign(size=size, repeat=repeat)
    table = _table(scores, chosen)
    unit = "share of the area" if max(chosen) <= 1 else "training images"
    words = _words(table, scores, chosen, unit)
    growth = {s: _growth(table, s) for s in _SCORES}
    curves = {s: None if g is None else g.at for s, g in growth.items()}
    figure = size_curve(table, curves, unit=unit)
    return write_study(out, "size", table, words, figure)


def fit_growth(n: Sequence[float], score: Sequence[float]) -> Growth | None:
    """Least squares of `Growth`, its rate between 0.1 and 2; None for fewer than three sizes.

    For each of many rates the other two are a straight line's; the best rate is kept. A curve
    that does not rise has no such form: None.
    """
    x, y = np.asarray(n, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if len(np.unique(x)) < _CURVE:
        return None
    best: tuple[float, Growth] | None = None
    for rate in np.geomspace(0.1, 2.0, 60):
        design = np.column_stack([np.ones_like(x), -(x**-rate)])
        (limit, loss), *_ = np.linalg.lstsq(design, y, rcond=None)
        error = float(np.sum((design @ [limit, loss] - y) ** 2))
        if loss > 0 and (best is None or error < best[0]):
            best = error, Growth(float(limit), float(loss), float(rate))
    return None if best is None else best[1]


def _sizes(given: Sequence[float], training: Pairs) -> tuple[float, ...]:
    """Sizes that can be trained: at most as many as the rarest marker has images."""
    most = int(training.table["marker"].value_counts().min())
    if not given:
        if len(training.fields()) < _FEW_FIELDS:
            return DEFAULT_SHARES
        return (*[float(n) for n in DEFAULT_SIZES if n < most], float(most))
    for size in given:
        if not (0 < size <= 1 or (size > 1 and float(size).is_integer())):
            raise InputError(f"size {size:g}", "give numbers of images, or shares of 1 and below")
    if min(given) <= 1 < max(given):
        raise InputError("sizes mix shares with numbers of images", "give one kind")
    kept = sorted({min(float(size), float(most)) if size > 1 else float(size) for size in given})
    return tuple(kept)


def _subset(pairs: Pairs, size: float, seed: int) -> Pairs:
    """The validation pairs and so much of the training pairs; the test part is not among them."""
    training, rest = pairs.of_split("train"), pairs.of_split("validation")
    if size <= 1:
        table = training.table.assign(
            region=[
                _cut(field_shape, region, size, seed)
                for field_shape, region in zip(
                    _shapes(training), training.table["region"], strict=True
                )
            ]
        )
    else:
        table = pd.concat(
            [_first(rows, int(size), seed) for _, rows in training.table.groupby("marker")]
        ).sort_index()
    return Pairs(pd.concat([table, rest.table], ignore_index=True), pairs.root, pairs.name)


def _shapes(pairs: Pairs) -> list[tuple[int, int]]:
    """(Y, X) of the field of each row."""
    known: dict[tuple[str, str], tuple[int, int]] = {}
    for field in pairs.fields():
        known[field.phase, "" if field.region is None else str(field.region)] = field.shape
    rows = zip(pairs.table["phase"], pairs.table["region"], strict=True)
    return [known[row] for row in rows]


def _cut(shape: tuple[int, int], region: str, share: float, seed: int) -> str:
    """A part of a field along its longer axis; a larger share contains the smaller ones."""
    whole = Region.parse(region) if region else Region(0, shape[0], 0, shape[1])
    axis = 0 if shape[0] >= shape[1] else 1
    length = shape[axis]
    wanted = max(1, round(share * length))
    # parts grow around one point, as far as the border lets them
    center = np.random.default_rng(seed).random()
    start = round(center * (length - wanted))
    y0, y1, x0, x1 = whole.y0, whole.y1, whole.x0, whole.x1
    if axis == 0:
        y0, y1 = whole.y0 + start, whole.y0 + start + wanted
    else:
        x0, x1 = whole.x0 + start, whole.x0 + start + wanted
    return str(Region(y0, y1, x0, x1))


def _first(rows: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """The first `n` of a marker's rows in an order that the seed gives."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows.iloc[np.sort(order[:n])]


def _table(scores: pd.DataFrame, sizes: Sequence[float]) -> pd.DataFrame:
    """Mean scores with intervals over pairs, and the p of each step from the size before.

    The unit of a test is a training, its score the mean over the test pairs: over the pairs, two
    trainings of one recipe differ "significantly" by their seeds. The n-th trainings of two sizes
    belong together, the larger set containing the smaller: Student's paired t. No p for fewer
    than three trainings.
    """
    rows: list[dict[str, Any]] = []
    for (marker, score), of_marker in _by_score(scores):
        before = None
        for size in sizes:
            of_size = of_marker[of_marker["size"] == size]
            span = score_interval(score, of_size.groupby("unit")["value"].mean().to_numpy())
            per_unit = of_size.groupby(["repeat", "unit"])["value"].mean()
            per_training = per_unit.groupby("repeat").mean()
            p = float("nan")
            if before is not None and len(per_training) >= _TRAININGS:
                p = paired_test(per_training, before.loc[per_training.index], test="t").p
            rows.append(
                {
                    "marker": marker,
                    "score": score,
                    "size": size,
                    "mean": span.estimate,
                    "low": span.low,
                    "high": span.high,
                    "n": span.n,
                    "trainings": len(per_training),
                    "p": p,
                }
            )
            before = per_training
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy())
    table["stars"] = [stars(p) for p in table["p_holm"]]
    return table


def _by_score(scores: pd.DataFrame) -> Any:
    # groups where there are some, else pairs: what the intervals count
    unit = groups_of(scores)
    scores = scores.assign(unit=scores["pair"] if unit is None else unit)
    long = scores.melt(
        ["marker", "unit", "size", "repeat"], list(_SCORES), var_name="score", value_name="value"
    )
    return long.groupby(["marker", "score"], sort=False)


def _growth(table: pd.DataFrame, score: str) -> Growth | None:
    means = table[table["score"] == score].groupby("size")["mean"].mean().dropna()
    return fit_growth(means.index.to_list(), means.to_list())


def _words(
    table: pd.DataFrame, scores: pd.DataFrame, sizes: Sequence[float], unit: str
) -> list[str]:
    words = []
    means = table.groupby(["score", "size"])["mean"].mean()
    for score in _SCORES:
        steps = ", ".join(f"{means[score, size]:.3f} at {size:g}" for size in sizes)
        words.append(f"{score}, mean over markers, by {unit}: {steps}.")
        growth = _growth(table, score)
        measured = int(means[score].notna().sum())
        if measured < _CURVE:
            count = "1 size is" if measured == 1 else f"{measured} sizes are"
            words.append(
                f"{count} too few for a curve of {score} (three at least): what more images would "
                "bring is open."
            )
            continue
        if growth is None:
            words.append(f"{score} does not rise steadily: what more images would bring is open.")
            continue
        most = max(sizes)
        more = most + _NEXT if most > 1 else 2 * most
        gain = growth.at(more) - growth.at(most)
        low, high = _gain_interval(scores, score, most, more)
        given = f"the next {_NEXT} pairs" if most > 1 else "twice the area"
        interval = f" ({low:+.3f} to {high:+.3f})" if np.isfinite(low) else ""
        words.append(
            f"Extended, the curve gives {score} {gain:+.3f}{interval} for {given}"
            f"; its limit is {growth.limit:.2f}."
        )
    if table["n"].max() < 2:
        words.append("One test pair: no interval.")
    trainings = int(table["trainings"].max())
    if trainings < _TRAININGS:
        count = "1 training" if trainings == 1 else f"{trainings} trainings"
        words.append(
            f"No test between sizes: {count} of each cannot tell more images from another seed; "
            f"{_TRAININGS} are needed (--repeats)."
        )
    return words


def _gain_interval(
    scores: pd.DataFrame, score: str, most: float, more: float
) -> tuple[float, float]:
    """95 % interval of the gain over test pairs or groups; NaN for fewer than three."""
    unit = groups_of(scores)
    index = "pair" if unit is None else "group"
    wide = scores.pivot_table(index=index, columns="size", values=score)  # mean over markers
    if len(wide) < MIN_GROUPS:
        return float("nan"), float("nan")
    sizes = [float(size) for size in wide.columns]

    def gain(rows: Array) -> float:
        growth = fit_growth(sizes, np.nanmean(rows, axis=0).tolist())
        return 0.0 if growth is None else growth.at(more) - growth.at(most)

    return resampled_interval(wide.to_numpy(), gain, draws=300)[1:3]
