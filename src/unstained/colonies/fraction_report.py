"""Share of each class per well and hour, and what a treatment did: what the biologist came for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..errors import DataError
from ..figures import fractions_figure, save_figure
from ..images.sources import read_table
from ..statistics import holm
from .fractions import GroupEffect, class_fractions, compare_groups, group_fractions
from .training import write_table

__all__ = ["with_conditions", "write_fractions"]


def with_conditions(table: pd.DataFrame, wells: Path) -> pd.DataFrame:
    """Join what each well was given: a CSV with the column `well` and others.

    Raises
    ------
    DataError
        No column `well`, a well twice, or wells of the table that it does not name.
    """
    given = read_table(wells)
    if "well" not in given or given["well"].duplicated().any():
        raise DataError(
            f"has the columns {', '.join(given.columns)}",
            "give one row a well: well,treatment",
            file=wells,
        )
    lost = sorted(set(table["well"].astype(str)) - set(given["well"]))
    if lost:
        raise DataError(
            f"does not name {len(lost)} wells, the first is {lost[0]}", "add them", file=wells
        )
    rest = [c for c in table if c not in given.columns or c == "well"]
    return table[rest].assign(well=table["well"].astype(str)).merge(given, on="well", how="left")


def write_fractions(
    table: pd.DataFrame, folder: Path, *, condition: str, control: str, from_start: bool = False
) -> list[str]:
    """Write `fractions.csv`; with a condition also `conditions.csv`, `effects.csv`, a figure.

    Parameters
    ----------
    table : DataFrame
        Of `evaluate.prediction_table`, with `well` and `frame` or `time_h`.
    condition, control : str
        Column of what each well was given, and what it says of controls. Without that column
        the table of fractions is all.
    from_start : bool
        See `compare_groups`.

    Returns
    -------
    list of str
        What was found, in words.
    """
    counted = _numeric(table)
    has = condition in counted
    fractions = class_fractions(counted, keep=[condition] if has else [])
    write_table(fractions, folder / "fractions.csv")
    if not has:
        return [f"no column {condition!r}: fractions of each well and hour are in {folder}"]
    grouped = group_fractions(fractions, condition)
    write_table(grouped, folder / "conditions.csv")
    save_figure(fractions_figure(grouped, condition=condition), folder / "fractions.png")
    effects = [
        compare_groups(
            counted,
            condition=condition,
            control=control,
            class_name=str(name),
            from_start=from_start,
        )
        for name in sorted(counted["class"].unique())
    ]
    p = holm([effect.p for effect in effects])
    rows = [
        {
            "class": e.class_name,
            "treated": e.treated,
            "control": e.control,
            "log_odds": e.level.estimate,
            "low": e.level.low,
            "high": e.level.high,
            "share": e.share.estimate,
            "share_low": e.share.low,
            "share_high": e.share.high,
            "p": e.p,
            "p_holm": corrected,
        }
        for e, corrected in zip(effects, p, strict=True)
    ]
    write_table(pd.DataFrame(rows), folder / "effects.csv")
    return [_words(e, corrected) for e, corrected in zip(effects, p.tolist(), strict=True)]


def _words(effect: GroupEffect, p_holm: float) -> str:
    share = effect.share
    verdict = "differs" if p_holm < 0.05 else "no difference shown"
    return (
        f"{effect.class_name}, {effect.treated} less {effect.control}: "
        f"{share.estimate:+.3f} of the colonies [{share.low:+.3f}, {share.high:+.3f}], "
        f"p {p_holm:.3g} (Holm): {verdict}"
    )


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    """Columns that a CSV manifest holds as text, as numbers."""
    numbers = {
        name: pd.to_numeric(table[name])
        for name in ("frame", "time_h", "area_um2")
        if name in table and (table[name].astype(str) != "").all()
    }
    drop = [c for c in ("time_h", "area_um2") if c in table and c not in numbers]
    kept = table.drop(columns=[*drop, *(c for c in table if str(c).startswith("p_"))])
    if "colony" in kept and "track" not in kept:
        kept = kept.assign(track=kept["colony"])
    return kept.assign(**numbers)
