"""Is one model better than another? Paired tests over the same pairs, corrected by Holm."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import DataError, InputError
from ..statistics import holm, mean_interval, paired_test, stars
from .score_table import SCORES, ScoreTable

__all__ = ["compare_models", "score_frame"]


def compare_models(
    tables: Mapping[str, ScoreTable],
    *,
    score: str = "r_s",
    test: Literal["wilcoxon", "t"] = "wilcoxon",
) -> pd.DataFrame:
    """Test all models against one another on each marker.

    The unit of a test is what may vary by itself: the mean of a group where there are three groups
    or more, else the pair. p is corrected by Holm over all rows of the result.

    Parameters
    ----------
    tables : mapping of str to ScoreTable
        Two or more models, scored on the same pairs.
    score : str
        One of `score_table.SCORES`.
    test : {"wilcoxon", "t"}
        Signed ranks (six units or more can reach p < 0.05), or paired t.

    Returns
    -------
    DataFrame
        marker, model_a, model_b, score, difference (a - b), low, high, n, over ("groups" or
        "pairs"), test, p, p_holm, stars; a row for each marker that both models have.

    Raises
    ------
    DataError
        Two models were scored on different pairs.
    """
    if score not in SCORES:
        raise InputError(f"score {score!r}", f"choose one of {', '.join(SCORES)}")
    if len(tables) < 2:
        raise InputError(f"{len(tables)} score tables", "give two models or more to compare")
    rows = []
    for (name_a, a), (name_b, b) in combinations(tables.items(), 2):
        for marker in [m for m in a.markers if m in b.markers]:
            units, over = _units(a, b, marker, score, (name_a, name_b))
            found = paired_test(units["a"], units["b"], test=test)
            s = a.settings
            span = mean_interval(units["a"] - units["b"], level=s.level, draws=s.draws, seed=s.seed)
            rows.append(
                {
                    "marker": marker,
                    "model_a": name_a,
                    "model_b": name_b,
                    "score": score,
                    "difference": found.difference,
                    "low": span.low,
                    "high": span.high,
                    "n": found.n,
                    "over": over,
                    "test": test,
                    "p": found.p,
                }
            )
    if not rows:
        raise DataError("these models have no marker in common", "compare models of one marker")
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy())
    table["stars"] = [stars(p) for p in table["p_holm"]]
    return table


def score_frame(tables: Mapping[str, ScoreTable], *, score: str = "r_s") -> pd.DataFrame:
    """Columns marker, model, value, one row a pair: what a boxplot is drawn from.

    The baselines of the first table follow the models, under their own names.
    """
    frames = [
        t.pairs[["marker"]].assign(model=name, value=t.pairs[score]) for name, t in tables.items()
    ]
    baselines = next(iter(tables.values())).baselines
    frames.append(baselines[["marker"]].assign(model=baselines["baseline"], value=baselines[score]))
    return pd.concat(frames, ignore_index=True)


def _units(
    a: ScoreTable, b: ScoreTable, marker: str, score: str, names: tuple[str, str]
) -> tuple[pd.DataFrame, str]:
    """Columns a, b with one row for each group or pair."""
    first, second = (
        t.pairs[t.pairs["marker"] == marker].set_index("pair")[[score, "group"]] for t in (a, b)
    )
    odd = first.index.symmetric_difference(second.index)
    if len(odd):
        raise DataError(
            f"{names[0]} and {names[1]} were scored on different pairs of {marker}: "
            f"{len(odd)} are in one only, as {odd[0]}",
            "score both on the same split",
        )
    units = pd.DataFrame(
        {"a": first[score], "b": second[score].loc[first.index], "group": first["group"]}
    )
    units = units[np.isfinite(units["a"]) & np.isfinite(units["b"])]
    clusters = a.interval_over[marker][score] == "groups"
    if clusters:
        units = units.groupby("group", sort=False)[["a", "b"]].mean()
    return units[["a", "b"]], "groups" if clusters else "pairs"
