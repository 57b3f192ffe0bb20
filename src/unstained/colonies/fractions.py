"""What share of the colonies is of each class, per well and hour, and does a treatment change it.

From a table of colonies, one row each time a colony was seen:

- ``well``; ``frame`` or ``time_h`` (hours) or both;
- ``class``, or probabilities ``p_NAME`` that add up to 1 in each row;
- where known: ``area_um2``, ``track`` (the same colony over frames), a column of conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from ..statistics import Effect, MixedModel, compare_units, mixed_model, wilson_interval
from .links import track_codes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GroupEffect", "class_fractions", "compare_groups", "group_fractions"]


class GroupEffect(NamedTuple):
    """Treated wells less control wells, in the share of one class.

    `level` is a difference in log odds over all hours, `slope` one in log odds per hour (per
    frame where the hours are not known); exp(level.estimate) is an odds ratio. `p` asks for
    either. `share` is the difference of the wells' mean shares, in plain numbers. With
    `from_start` all are of the changes since the first hour.
    """

    class_name: str
    treated: str
    control: str
    level: Effect
    slope: Effect
    p: float
    share: Effect
    treated_wells: int
    control_wells: int
    mixed: MixedModel | None  # a second opinion; None where there is one hour only


class _Counts(NamedTuple):
    """Classes counted per well and hour; C groups of K classes."""

    keys: pd.DataFrame  # (C, ...) well, frame and time_h where given, kept columns
    names: list[str]
    group: Array  # (N,) int, the place in `keys` of each row
    member: Array  # (N, K) float, 1 for the row's class, or its probabilities
    hits: Array  # (C, K) rows of each class
    n: Array  # (C,)


def class_fractions(
    table: pd.DataFrame, *, keep: Sequence[str] = (), level: float = 0.95
) -> pd.DataFrame:
    """Share of each class in each well and hour, by number and by area.

    By number, share = colonies of the class / colonies; of a table with probabilities instead
    of classes, the mean probability, which for calibrated probabilities is closer than counting
    the likeliest class. By area, share = area of the class / area of all.

    Intervals are Wilson's. By number each row is a colony of its own; where a track has several
    rows in one well and hour (several patches or crops), and by area, n is the number of
    colonies of one size that would tell the share as well (see `_effective_n`). A row whose
    track is NaN, blank or 0 is a colony of its own.

    The intervals say how well these colonies tell the share of *this well*; wells differ by
    more. Compare conditions by `group_fractions` and `compare_groups`.

    Parameters
    ----------
    table : DataFrame
        See the top of this module.
    keep : sequence of str
        Columns to carry along, such as "treatment"; one value a well.
    level : float
        Coverage, 0 ... 1.

    Returns
    -------
    DataFrame
        well, frame and time_h as given, `keep`, class, n (rows of this well and hour), count,
        fraction, low, high, and, with areas, area_fraction, area_low, area_high. One row for
        each well, hour and class, also where the class does not occur.

    Raises
    ------
    DataError
        A column is missing, no rows, a row without class, an area that is not positive, or
        a well with two values of a kept column.
    """
    counts = _counts(table, keep)
    area = _areas(table)
    n = np.broadcast_to(counts.n[:, None], counts.hits.shape).astype(float)
    share = counts.hits / n
    area_share, area_n = np.full(n.shape, np.nan), np.full(n.shape, np.nan)
    track = track_codes(table["track"]) if "track" in table else np.arange(len(table))
    order = np.argsort(counts.group, kind="stable")
    for c, rows in enumerate(np.split(order, np.cumsum(counts.n)[:-1])):
        member, cluster = counts.member[rows], track[rows]
        if np.unique(cluster).size < cluster.size:
            n[c] = _effective_n(member, np.ones(rows.size), cluster)
        if area is not None:
            area_share[c] = area[rows] @ member / area[rows].sum()
            area_n[c] = _effective_n(member, area[rows], cluster)
    low, high = wilson_interval(share * n, n, level=level)
    k = len(counts.names)
    long = counts.keys.loc[counts.keys.index.repeat(k)].reset_index(drop=True)
    long["class"] = counts.names * len(counts.keys)
    long["n"] = np.repeat(counts.n, k)
    long["count"] = counts.hits.ravel()
    long["fraction"] = share.ravel()
    long["low"], long["high"] = low.ravel(), high.ravel()
    if area is not None:
        area_low, area_high = wilson_interval(area_share * area_n, area_n, level=level)
        long["area_fraction"] = area_share.ravel()
        long["area_low"], long["area_high"] = area_low.ravel(), area_high.ravel()
    return long


def group_fractions(
    fractions: pd.DataFrame, condition: str, *, level: float = 0.95
) -> pd.DataFrame:
    """Mean share of the wells of each condition, per hour and class.

    The well is the unit: mean +- t sd / sqrt(wells), cut to 0 ... 1; NaN bounds for one well.

    Parameters
    ----------
    fractions : DataFrame
        Of `class_fractions`, with the condition kept.
    condition : str
        Its column.
    level : float
        Coverage, 0 ... 1.

    Returns
    -------
    DataFrame
        condition (under its own name), time_h (or frame), class, fraction, low, high, wells.
    """
    from scipy.special import stdtrit

    if condition not in fractions:
        raise DataError(f"no column {condition!r}", "keep it in class_fractions(keep=...)")
    hour = _hour_column(fractions)
    wells = fractions.groupby([condition, hour, "class"], sort=False)["fraction"]
    found = wells.agg(["mean", "std", "count"]).reset_index()
    n = found["count"].to_numpy(float)
    # one well has no spread: NaN degrees of freedom make NaN bounds
    t = stdtrit(np.where(n > 1, n - 1, np.nan), 0.5 + level / 2)
    half = t * found["std"].to_numpy(float) / np.sqrt(n)
    mean = found["mean"].to_numpy(float)
    return found[[condition, hour, "class"]].assign(
        fraction=mean,
        low=np.clip(mean - half, 0, 1),
        high=np.clip(mean + half, 0, 1),
        wells=found["count"],
    )


def compare_groups(
    table: pd.DataFrame,
    *,
    condition: str,
    control: str,
    class_name: str,
    treated: str | None = None,
    from_start: bool = False,
    level: float = 0.95,
) -> GroupEffect:
    """Does a treatment change the share of one class, and how fast?

    y = log((count + 1/2) / (n - count + 1/2)) per well and hour goes to
    `statistics.compare_units`, whose unit is the well: 50 colonies seen for 48 hours in one
    well are one observation of the treatment. With 4 + 4 wells without effect it finds a
    "difference" in about 5 of 100 experiments. The mixed model of the same y stands beside it.
    The half keeps wells without the class finite and draws small wells towards even odds: where
    a treatment changes the number of colonies many times over, trust `share`.
    Tests of several classes need `statistics.holm`.

    Parameters
    ----------
    table : DataFrame
        Colonies; see the top of this module.
    condition : str
        The column that says what each well was given.
    control : str
        Its value in control wells.
    class_name : str
        The class to compare.
    treated : str, optional
        Its value in treated wells; needed where there is more than one beside `control`.
    from_start : bool
        Compare each well's change since its first hour, where the treatment began then: wells
        that happened to begin with more of a class are no effect.
    level : float
        Coverage of the intervals, 0 ... 1.

    Raises
    ------
    DataError
        As `class_fractions`; also fewer than two wells of a condition.
    InputError
        A condition or class that the table does not have.
    """
    counts = _counts(table, [condition])
    if class_name not in counts.names:
        raise InputError(
            f"class {class_name!r} is not in the table", f"it has {', '.join(counts.names)}"
        )
    given = counts.keys[condition].astype(str)
    other = _other(sorted(set(given)), control, treated)
    used = given.isin([control, other]).to_numpy()
    keys = counts.keys[used]
    hits, n = counts.hits[used, counts.names.index(class_name)], counts.n[used]
    y, shares = np.log((hits + 0.5) / (n - hits + 0.5)), hits / n
    hours = keys[_hour_column(keys)].to_numpy(float)
    columns = hours, keys["well"].to_numpy(), given[used].to_numpy() == other
    if from_start:
        later, first = _since_start(hours, columns[1])
        y, shares = (v[later] - v[first] for v in (y, shares))
        columns = hours[later], columns[1][later], columns[2][later]
        hours = columns[0]
    found = compare_units(y, *columns, level=level)
    share = compare_units(shares, *columns, level=level).level
    return GroupEffect(
        class_name,
        other,
        control,
        found.level,
        found.slope,
        found.p,
        share,
        found.treated,
        found.control,
        mixed_model(y, *columns, level=level) if np.ptp(hours) > 0 else None,
    )


def _since_start(hours: Array, wells: Array) -> tuple[Array, Array]:
    """(L,) rows after the first hour, and for each the row of its well at the first hour."""
    start = {well: i for i, well in enumerate(wells) if hours[i] == hours.min()}
    lost = sorted(set(wells) - set(start))
    if lost:
        raise DataError(
            f"{len(lost)} wells have no colony at the first hour, the first is {lost[0]}",
            "compare without --from-start, or leave them out",
        )
    later = np.flatnonzero(hours > hours.min())
    if not later.size:
        raise DataError("there is one hour only", "a change needs two: leave out --from-start")
    return later, np.array([start[wells[i]] for i in later])


def _other(conditions: Sequence[str], control: str, treated: str | None) -> str:
    rest = [name for name in conditions if name != control]
    if control not in conditions or (treated is not None and treated not in rest):
        raise InputError(
            f"compared are {treated or 'the rest'} and {control}",
            f"the table has {', '.join(conditions)}",
        )
    if treated is None and len(rest) != 1:
        raise InputError(f"{len(rest)} conditions beside {control}", "say which is `treated`")
    return rest[0] if treated is None else treated


def _counts(table: pd.DataFrame, keep: Sequence[str]) -> _Counts:
    hour = _hour_column(table)
    for column in ("well", *keep):
        if column not in table:
            raise DataError(
                f"the table of colonies has no column {column!r}",
                f"it has {', '.join(map(str, table.columns))}",
            )
    names, member = _members(table)
    for column in keep:
        values = table.groupby("well")[column].nunique(dropna=False)
        if (values > 1).any():
            raise DataError(
                f"well {values.idxmax()} has {values.max()} values of {column}", "give each one"
            )
    if table[["well", hour]].isna().any(axis=None):
        raise DataError(f"a colony without well or {hour}", "fill these in")
    grouped = table.groupby(["well", hour], sort=True)
    group = grouped.ngroup().to_numpy()
    columns = dict.fromkeys(["well", *(c for c in ("frame", "time_h") if c in table), *keep])
    keys = table[list(columns)].groupby(group).first().reset_index(drop=True)
    n = np.bincount(group)
    hits = np.column_stack([np.bincount(group, weights=column) for column in member.T])
    return _Counts(keys, names, group, member, hits, n)


def _members(table: pd.DataFrame) -> tuple[list[str], Array]:
    """Names of the K classes, and each row's class as (N, K) shares that add up to 1."""
    if "class" in table:
        given = table["class"]
        if given.isna().any() or (given.astype(str) == "").any():
            raise DataError("a colony without class", "predict every colony or leave the row out")
        names = sorted(set(given.astype(str)))
        return names, (given.astype(str).to_numpy()[:, None] == np.array(names)).astype(float)
    columns = [name for name in map(str, table.columns) if name.startswith("p_")]
    if not columns:
        raise DataError(
            "the table of colonies has neither a column class nor probabilities p_NAME",
            f"it has {', '.join(map(str, table.columns))}",
        )
    shares = table[columns].to_numpy(float)
    wrong = ~(np.isfinite(shares).all(axis=1) & (abs(shares.sum(axis=1) - 1) < 1e-3))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"row {row} has probabilities {shares[row].tolist()}", "they must add to 1")
    return [name.removeprefix("p_") for name in columns], shares


def _hour_column(table: pd.DataFrame) -> str:
    for name in ("time_h", "frame"):
        # the hours of images that do not say when they were taken are NaN
        if name in table and table[name].notna().any():
            return name
    if not len(table):
        raise DataError("the table of colonies is empty", "detect and predict first")
    raise DataError("the table has neither time_h nor frame", "say when each colony was seen")


def _areas(table: pd.DataFrame) -> Array | None:
    if "area_um2" not in table:
        return None
    area = table["area_um2"].to_numpy(float)
    if not (area > 0).all():
        raise DataError(f"an area of {area[~(area > 0)][0]} um2", "give each colony its area")
    return area


def _effective_n(member: Array, weight: Array, cluster: Array) -> Array:
    """(K,) how many colonies of one size would tell the share of each class as well [1]_, [2]_.

    With W_i the weight of colony i and H_i that of its class, W = sum W_i, p = sum H_i / W:
    the smaller of p (1 - p) / var, var = n / (n - 1) sum (H_i - p W_i)^2 / W^2, and of
    W^2 / sum W_i^2, which is what the weights alone leave of n. Half a mean colony is added to
    either side of p: a class that no colony shows is not certain to be absent.

    Wilson's interval of that n held shares of area of 4 to 60 colonies in 0.91 to 0.99, a
    percentile bootstrap in 0.34 to 0.94 (``benchmarks/intervals.py``).

    References
    ----------
    .. [1] Kish (1965), Survey Sampling, ch. 8.
    .. [2] Korn, Graubard (1998), Surv Methodol 24:193.
    """
    _, place = np.unique(cluster, return_inverse=True)
    size = np.bincount(place, weights=weight)
    # (colonies, K) weight of each class in each colony
    hits = np.column_stack([np.bincount(place, weights=weight * column) for column in member.T])
    n, total = size.size, size.sum()
    of_weights = np.full(member.shape[1], total**2 / (size @ size))
    if n < 2:
        return of_weights
    share = (hits.sum(axis=0) + total / n / 2) / (total + total / n)
    variance = n / (n - 1) * ((hits - size[:, None] * share) ** 2).sum(axis=0) / total**2
    with np.errstate(divide="ignore"):  # colonies may agree to the last digit
        of_classes = share * (1 - share) / variance
    return np.asarray(np.minimum(of_weights, of_classes))
