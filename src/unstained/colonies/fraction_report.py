"""Share of each class per well and hour, and what a treatment did: what the biologist came for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, InputError, some_of
from ..figures import fractions_figure, save_figure
from ..images.tables import read_table
from ..statistics import Effect, MixedModel, holm
from .fractions import GroupEffect, class_fractions, compare_groups, group_fractions
from .training import write_table

__all__ = ["check_fractions", "with_conditions", "write_fractions"]

_CONDITIONS, _EFFECTS, _FIGURE = "conditions.csv", "effects.csv", "fractions.png"
_NONE = Effect(*[float("nan")] * 4)


def with_conditions(table: pd.DataFrame, wells: Path) -> pd.DataFrame:
    """Join what each well was given: a CSV with the column `well` and others.

    Raises
    ------
    DataError
        No column `well`, here or there, a well twice, or wells of the table that it does not name.
    """
    given = read_table(wells)
    if "well" not in table:
        raise DataError(
            "says what each well was given, but the colonies have no column well",
            "add it to their manifest, or leave --wells out",
            file=wells,
        )
    if "well" not in given or given["well"].duplicated().any():
        raise DataError(
            f"has the columns {', '.join(given.columns)}",
            "give one row a well: well,treatment",
            file=wells,
        )
    lost = sorted(set(table["well"].astype(str)) - set(given["well"]))
    if lost:
        raise DataError(
            f"does not name {len(lost)} wells, the first is {lost[0]}; it names "
            f"{some_of(list(given['well']), 5)}",
            "add them, or name wells as the colonies do",
            file=wells,
        )
    rest = [c for c in table if c not in given.columns or c == "well"]
    return table[rest].assign(well=table["well"].astype(str)).merge(given, on="well", how="left")


def check_fractions(table: pd.DataFrame, file: str) -> None:
    """Refuse a table that has no fractions, before it is predicted.

    Raises
    ------
    DataError
        No column `well`, no `frame` or `time_h` of every row, or one that is no number.
    """
    if "well" not in table:
        raise DataError("has no column well", "say in which well each colony was seen", file=file)
    _numeric(table, file)


def write_fractions(
    table: pd.DataFrame,
    folder: Path,
    *,
    condition: str,
    control: str,
    from_start: bool = False,
    file: str | None = None,
) -> list[str]:
    """Write `fractions.csv`; with a condition also `conditions.csv`, `effects.csv`, a figure.

    Every condition is compared with the control, in every class; Holm's correction is over all
    of these tests. Wells whose condition is blank are counted and not compared. `effects.csv`
    has what a `GroupEffect` has: `log_odds` (`low`, `high`, `log_odds_p`) is its level, `slope`
    is per hour, or per frame where hours are not known; `mixed_log_odds` and `mixed_slope` are
    those of the mixed model, blank where it did not converge or there is one hour only.

    Parameters
    ----------
    table : DataFrame
        Of `evaluate.prediction_table`, with `well` and `frame` or `time_h`.
    condition, control : str
        Column of what each well was given, and what it says of controls. Without that column
        the table of fractions is all.
    from_start : bool
        See `compare_groups`.
    file : str, optional
        Where the conditions were given, for errors.

    Returns
    -------
    list of str
        What was found, in words, and what was left out.

    Raises
    ------
    DataError
        See `check_fractions`.
    InputError
        No well is a control; all but `effects.csv` is written.
    """
    counted, words = _numeric(table, file)
    if condition in counted:
        counted[condition] = counted[condition].fillna("").astype(str).str.strip()
    has = condition in counted and (counted[condition] != "").any()
    # an earlier run may have compared others
    for name in (_CONDITIONS, _EFFECTS, _FIGURE):
        (folder / name).unlink(missing_ok=True)
    fractions = class_fractions(counted, keep=[condition] if has else [])
    write_table(fractions, folder / "fractions.csv")
    if not has:
        where = f"fractions of each well and hour are in {folder}"
        return [*words, f"no column {condition!r} with words in it: {where}"]
    blank = counted.loc[counted[condition] == "", "well"].unique()
    if blank.size:
        names = ", ".join(map(str, blank))
        words.append(f"not compared, for their {condition} is blank: wells {names}")
    compared = counted[counted[condition] != ""]
    grouped = group_fractions(fractions[fractions[condition] != ""], condition)
    write_table(grouped, folder / _CONDITIONS)
    save_figure(fractions_figure(grouped, condition=condition), folder / _FIGURE)
    given = sorted(compared[condition].unique())
    if control not in given:
        raise InputError(
            f"no well has the {condition} {control!r}, so nothing was compared",
            f"name the controls by --control; wells have {', '.join(given)}. The fractions of "
            f"each well are in {folder}",
            file=file,
        )
    effects: list[GroupEffect] = []
    for treated in given:
        if treated == control:
            continue
        try:
            effects += [
                compare_groups(
                    compared,
                    condition=condition,
                    control=control,
                    class_name=str(name),
                    treated=treated,
                    from_start=from_start,
                )
                for name in sorted(compared["class"].unique())
            ]
        except DataError as error:  # too few wells of this one, or none at its first hour
            words.append(f"{treated} was not compared with {control} (--control): {error}")
    if not effects:
        return [*words, f"nothing was compared; fractions of each well and hour are in {folder}"]
    corrected = holm([effect.p for effect in effects]).tolist()
    write_table(_effects_table(effects, corrected), folder / _EFFECTS)
    unit = "hour" if "time_h" in fractions else "frame"
    return words + [_words(e, p, unit) for e, p in zip(effects, corrected, strict=True)]


def _effects_table(effects: Sequence[GroupEffect], corrected: Sequence[float]) -> pd.DataFrame:
    """The rows of `effects.csv`; `corrected` are the p values after Holm."""
    rows: list[dict[str, Any]] = [
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
            "p_holm": p,
            "log_odds_p": e.level.p,
            **_columns("slope", e.slope),
            **_columns("mixed_log_odds", _mixed(e).level),
            **_columns("mixed_slope", _mixed(e).slope),
        }
        for e, p in zip(effects, corrected, strict=True)
    ]
    return pd.DataFrame(rows)


def _columns(name: str, effect: Effect) -> dict[str, float]:
    ends = {f"{name}_low": effect.low, f"{name}_high": effect.high}
    return {name: effect.estimate, **ends, f"{name}_p": effect.p}


def _mixed(effect: GroupEffect) -> MixedModel:
    """The mixed model; blank where there is none, or none that converged."""
    mixed = effect.mixed
    return MixedModel(_NONE, _NONE, False, "") if mixed is None or not mixed.converged else mixed


def _words(effect: GroupEffect, p_holm: float, unit: str) -> str:
    share, slope, mixed = effect.share, effect.slope, _mixed(effect).level
    verdict = "no difference shown"
    if p_holm < 0.05:
        # p is twice the smaller of the two, which is then below 0.05 by itself
        either = {"level": effect.level.p, "slope": slope.p}
        verdict = "differs in " + " and ".join(name for name, p in either.items() if p < 0.05)
    words = (
        f"{effect.class_name}, {effect.treated} less {effect.control}: "
        f"{share.estimate:+.3f} of the colonies [{share.low:+.3f}, {share.high:+.3f}], "
        f"p {p_holm:.3g} (Holm): {verdict}"
    )
    if np.isfinite(slope.estimate):
        ends = f"[{slope.low:+.3g}, {slope.high:+.3g}]"
        words += f"; slope {slope.estimate:+.3g} {ends} log odds per {unit}"
    if np.isfinite(mixed.estimate):
        ends = f"[{mixed.low:+.3g}, {mixed.high:+.3g}]"
        words += f"; mixed model {mixed.estimate:+.3g} {ends} log odds, p {mixed.p:.3g}"
    return words


def _numeric(table: pd.DataFrame, file: str | None) -> tuple[pd.DataFrame, list[str]]:
    """`frame`, `time_h`, `area_um2` as numbers, each left out where not every row has it.

    A CSV manifest holds them as text. Notes say what was left out.
    """
    numbers = {}
    missing = {}
    for name in ("frame", "time_h", "area_um2"):
        if name in table:
            numbers[name] = _numbers(table[name], file)
            missing[name] = int(numbers[name].isna().sum())
    complete = {name for name, n in missing.items() if n == 0}
    if not complete & {"frame", "time_h"}:
        some = [f"{name} of {n} rows" for name, n in missing.items() if name != "area_um2"]
        raise DataError(
            f"does not say {' and '.join(some)}" if some else "has neither frame nor time_h",
            "say of every row when the colony was seen, by frame or time_h (hours)",
            file=file,
        )
    notes = []
    if 0 < missing.get("time_h", 0) < len(table):
        notes.append(f"{missing['time_h']} rows have no time_h: time is counted in frames")
    if missing.get("area_um2", 0):
        notes.append(
            f"{missing['area_um2']} of {len(table)} colonies have no area in um2: shares are by "
            "number alone; for shares by area detect with --pixel-size"
        )
    drop = [c for c in table if c in missing or str(c).startswith("p_")]
    kept = table.drop(columns=drop).assign(**{name: numbers[name] for name in complete})
    if "colony" in kept and "track" not in kept:
        kept = kept.assign(track=kept["colony"])
    return kept, notes


def _numbers(column: pd.Series[Any], file: str | None) -> pd.Series[Any]:
    """Numbers, NaN where a cell is blank."""
    numbers = pd.to_numeric(column, errors="coerce")
    blank = column.isna() | (column.astype(str).str.strip() == "")
    wrong = np.flatnonzero(~np.isfinite(numbers) & ~blank)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"row {row + 1} has the {column.name} {column.iloc[row]!r}",
            "write a number, or leave the cell blank",
            file=file,
        )
    return numbers
