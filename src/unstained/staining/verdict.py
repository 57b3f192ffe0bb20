"""What a score means: is the pattern right, and may its intensity be read as expression?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..statistics import MIN_GROUPS, Interval, LinearFit, linear_fit, mean_interval
from .score_table import ScoreTable
from .scores import SMOOTHED

__all__ = [
    "BIAS_LIMIT",
    "MIN_UNITS",
    "R_EXPRESSION",
    "R_ORDER",
    "SHARE_PARTLY",
    "SHARE_RIGHT",
    "SLOPE_LIMITS",
    "Verdict",
    "verdict",
    "verdicts",
]

# Where. c_max^2 = SNR / (1 + SNR) is the share of the stain's variance that is signal, so
# (r / c_max)^2 is the share of what can be explained that is explained. Half of it: the pattern
# is more right than wrong. A quarter: it has something of it.
SHARE_RIGHT = 0.5
SHARE_PARTLY = 0.25

# How much. The residual of a line has sqrt(1 - r^2) of the spread: 0.44 at r = 0.9, so that one
# cell is told from another half the spread apart; at r = 0.7 half the variance between cells is
# caught, enough for their order and for means of many, not for one cell.
R_EXPRESSION = 0.9
R_ORDER = 0.7
# A difference between cells must come out within a quarter of itself (0.8 = 1 / 1.25), and the
# level within a tenth of the range (5th to 95th percentile) that the cells span.
SLOPE_LIMITS = (0.8, 1.25)
BIAS_LIMIT = 0.1
# Fewer cells or blocks do not tell r = 0.9 from 0.8: Fisher's z gives 0.80 ... 0.95 at n = 30.
MIN_UNITS = 30


@dataclass(frozen=True)
class Verdict:
    """What may be believed of one marker.

    Attributes
    ----------
    marker : str
    where : {"right", "partly", "wrong", "unknown"}
        The pattern.
    how_much : {"expression", "order", "no", "unknown"}
        The amounts: of single cells (or blocks), only their order and means of many, or neither.
    where_text, how_much_text : str
        The same in words, with the numbers.
    share_s, share_lap : float
        (r / c_max)^2 of r_s and r_lap; with c_max = 1 where the noise is not known.
    baseline : str
        The best baseline, chosen in its favor on the scored pairs; "" where there is none.
    gain : Interval
        r_s less that baseline's, pair by pair.
    unit : {"cell", "block", ""}
        What the amounts are of.
    fit : LinearFit
        Predicted against measured amounts: slope, bias, r. Intervals are drawn over
        ``ScoreTable.interval_over[marker]["amounts"]``; NaN where that is "".
    bias_of_range : float
        Bias by the range (5th to 95th percentile) of measured amounts.
    r_within : float
        r of the amounts less their class means; NaN without classes.
    """

    marker: str
    where: Literal["right", "partly", "wrong", "unknown"]
    how_much: Literal["expression", "order", "no", "unknown"]
    where_text: str
    how_much_text: str
    share_s: float
    share_lap: float
    baseline: str
    gain: Interval
    unit: str
    fit: LinearFit
    bias_of_range: float
    r_within: float

    def __str__(self) -> str:
        return f"{self.marker}: {self.where_text} {self.how_much_text}"


def verdicts(table: ScoreTable) -> dict[str, Verdict]:
    """The verdict on each marker of a table."""
    return {marker: verdict(table, marker) for marker in table.markers}


def verdict(table: ScoreTable, marker: str) -> Verdict:
    """Say in words what the scores of one marker allow.

    *Where* asks r_s and r_lap against the ceiling `c_max` and r_s against the best baseline.
    The ceiling holds for white noise in pixels; r_lap compares structures of some 10 px, which
    average noise away, so its ceiling is a little higher than the `c_max` used here.
    *How much* asks a line through predicted against measured sums: of cells where there are
    cells, else of blocks. The thresholds and their reasons stand at the head of this module.
    """
    rows = table.pairs[table.pairs["marker"] == marker]
    r_s, r_lap = rows["r_s"].mean(), rows["r_lap"].mean()
    known = rows["c_max"].notna().any()
    ceiling = float(rows["c_max"].mean()) if known else 1.0
    share_s, share_lap = (_share(r, ceiling) for r in (r_s, r_lap))
    baseline, gain = _gain(table, rows, marker)
    where = _where(share_s, share_lap, gain)
    facts = f"r_s {r_s:.2f}, r_lap {r_lap:.2f}, " + (
        f"ceiling {ceiling:.2f}" if known else "ceiling not known"
    )
    if rows["note"].str.contains(SMOOTHED, regex=False).any():
        facts += " at most, the stain being smoothed"
    where_text = _where_words(where, share_s, share_lap, baseline, gain) + f" ({facts})."

    amounts, unit = table.cells(marker), "cell"
    if not len(amounts):
        amounts, unit = table.blocks(marker), "block"
    if not len(amounts):
        unit = ""
    fit, bias, r_within = _line(table, amounts)
    how_much = _how_much(fit, bias, r_within)
    words = _how_much_words(how_much, unit, table.settings.block_px)
    if fit.n >= MIN_UNITS and np.isfinite(fit.r):
        words += f" ({_line_words(fit, bias, r_within, unit)}{_few_words(table, amounts)})"
    return Verdict(
        marker=marker,
        where=where,
        how_much=how_much,
        where_text=where_text,
        how_much_text=words + ".",
        share_s=share_s,
        share_lap=share_lap,
        baseline=baseline,
        gain=gain,
        unit=unit,
        fit=fit,
        bias_of_range=bias,
        r_within=r_within,
    )


def _share(r: float, ceiling: float) -> float:
    """(r / c_max)^2, 0 ... 1; 0 for a negative r; NaN where r is."""
    if np.isnan(r) or ceiling <= 0:
        return float("nan")
    return float(min(max(r, 0.0) / ceiling, 1.0) ** 2)


def _gain(table: ScoreTable, rows: pd.DataFrame, marker: str) -> tuple[str, Interval]:
    """The best baseline by mean r_s and the model's r_s less its, over the same pairs."""
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    if not len(table.baselines):
        return "", nothing
    without = table.baselines[table.baselines["marker"] == marker]
    means = without.groupby("baseline", sort=False)["r_s"].mean().dropna()
    if not len(means):
        return "", nothing
    best = str(means.idxmax())
    reference = without[without["baseline"] == best].set_index("pair")["r_s"]
    gain = rows["r_s"].to_numpy(np.float64) - reference.loc[rows["pair"]].to_numpy(np.float64)
    s = table.settings
    found = mean_interval(
        gain, groups=table.clusters(rows), level=s.level, draws=s.draws, seed=s.seed
    )
    return best, found if found.n >= MIN_GROUPS else found.alone()


def _beaten(gain: Interval) -> bool | None:
    """Is the gain above 0? None where its interval, if there is one, holds 0 and more."""
    if gain.estimate > 0 and gain.low <= 0:
        return None
    return bool(gain.estimate > 0)


def _where(
    share_s: float, share_lap: float, gain: Interval
) -> Literal["right", "partly", "wrong", "unknown"]:
    if np.isnan(share_s):
        return "unknown"
    if share_s < SHARE_PARTLY or (gain.n and _beaten(gain) is False):
        return "wrong"
    if gain.n and _beaten(gain) is None:
        return "unknown"
    if share_s >= SHARE_RIGHT and share_lap >= SHARE_RIGHT:
        return "right"
    return "partly"


def _where_words(
    where: str, share_s: float, share_lap: float, baseline: str, gain: Interval
) -> str:
    if np.isnan(share_s):
        return "Where: not known, since the stain is constant"
    if where == "unknown":
        return (
            f"Where: not known: r_s is {gain:.2f} above a baseline that needs no model, "
            f"{baseline}, which {gain.n} pairs do not tell from 0"
        )
    explained = f"{100 * share_s:.0f} % of what the stain's noise leaves to explain is explained"
    if gain.n and _beaten(gain) is False:
        return f"Where: no better than a baseline that needs no model, {baseline}; do not use it"
    if where == "wrong":
        return f"Where: the pattern is mostly wrong: {explained}"
    if where == "right":
        return f"Where: the pattern is right, in outline and structure: {explained}"
    if share_s >= SHARE_RIGHT > share_lap:
        return f"Where: the outline is right, the finer structure is not: {explained}"
    return f"Where: the pattern is partly right: {explained}"


def _line(table: ScoreTable, amounts: pd.DataFrame) -> tuple[LinearFit, float, float]:
    x = amounts["measured"].to_numpy(np.float64)
    y = amounts["predicted"].to_numpy(np.float64)
    s = table.settings
    groups = table.clusters(amounts) if len(amounts) else None
    fit = linear_fit(x, y, groups=groups, level=s.level, draws=s.draws, seed=s.seed)
    if groups is None:  # Student's intervals take cells of one field as independent
        fit = fit._replace(
            slope=fit.slope.alone(), intercept=fit.intercept.alone(), bias=fit.bias.alone()
        )
    spread = float(np.subtract(*np.percentile(x, [95, 5]))) if len(x) else 0.0
    bias = fit.bias.estimate / spread if spread > 0 else float("nan")
    r_within = float("nan")
    if len(amounts) and amounts["class_"].nunique() > 1:
        centered = amounts[["measured", "predicted"]]
        centered = centered - centered.groupby(amounts["class_"]).transform("mean")
        r_within = table.correlation(
            amounts.assign(measured=centered["measured"], predicted=centered["predicted"])
        ).estimate
    return fit, bias, r_within


def _how_much(
    fit: LinearFit, bias: float, r_within: float
) -> Literal["expression", "order", "no", "unknown"]:
    if fit.n < MIN_UNITS or np.isnan(fit.slope.estimate):
        return "unknown"
    if np.isnan(fit.r) or fit.r < R_ORDER:  # r is NaN where all predictions are equal
        return "no"
    low, high = SLOPE_LIMITS
    true_to_scale = low <= fit.slope.estimate <= high and abs(bias) <= BIAS_LIMIT
    # r over several classes may be their range, not skill: it must hold within a class too
    skilled = np.isnan(r_within) or r_within >= R_ORDER
    if fit.r >= R_EXPRESSION and true_to_scale and skilled:
        return "expression"
    return "order"


def _how_much_words(how_much: str, unit: str, block_px: int) -> str:
    what = "cells" if unit == "cell" else f"blocks of {block_px} px"
    if how_much == "unknown":
        return f"How much: not known, with fewer than {MIN_UNITS} {what} that vary"
    if how_much == "expression":
        return f"How much: the intensity of single {what} may be read as expression"
    if how_much == "order":
        return (
            f"How much: the intensity ranks {what} and compares means of many; "
            "do not read it as expression of a single one"
        )
    return "How much: do not read the intensity as expression"


def _few_words(table: ScoreTable, amounts: pd.DataFrame) -> str:
    """Why slope and bias have no interval; "" where they have one."""
    if table.unit(amounts):
        return ""
    pairs = amounts["pair"].nunique()
    few = f"{pairs} fields" if pairs > 1 else f"{amounts['part'].nunique()} parts of the only field"
    return f"; no interval: {few} are too few, {MIN_GROUPS} are needed"


def _line_words(fit: LinearFit, bias: float, r_within: float, unit: str) -> str:
    within = f", within a class {r_within:.2f}" if np.isfinite(r_within) else ""
    return (
        f"{fit.n} {unit}s: r {fit.r:.2f}{within}, slope {fit.slope:.2f}, "
        f"bias {100 * bias:+.0f} % of the range"
    )
