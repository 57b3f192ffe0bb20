"""What the commands that compare kinds of cells write: phenotypes and factors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..cell_table import need_columns, values_of, write_cells
from ..errors import DataError, FileError
from ..figures.colonies_compare import confusion_figure
from ..figures.heterogeneity_groups import effects_figure, levels_figure, shares_figure
from .choice import Array, choose_cells, column_of_rows, groups_of, marker_names
from .effects import differences, levels_by_class
from .factors import compare_factor, trend_of_factor
from .phenotypes import (
    PHENOTYPES,
    RuleSettings,
    agreement,
    phenotype_rule,
    phenotypes_of_person,
    shape_of,
)
from .report import ReportSettings, write_figures, write_json, write_tables
from .variance import variance_shares

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

__all__ = ["FactorSettings", "write_factors", "write_phenotypes"]

FACTORS = ("donor", "passage", "medium", "density")
_MOST_LEVELS = 6  # a number with more is a trend, not a set of kinds


@dataclass(frozen=True)
class FactorSettings:
    """What is compared with what.

    Attributes
    ----------
    factors : sequence of str or None
        Columns. None: those of donor, passage, medium and density that have two levels.
    unit : str or None
        Column that tells what is replicated. None: the donor where there are several and the
        donor is not what is compared, else the well, else the image.
    nested : sequence of str or None
        For shares of the variance, outermost first. None: those of donor, passage and well that
        are there and can be told apart.
    """

    factors: Sequence[str] | None = None
    unit: str | None = None
    nested: Sequence[str] | None = None


def write_phenotypes(
    cells: AnnData,
    out_dir: str | os.PathLike[str],
    settings: ReportSettings,
    rule: RuleSettings | None = None,
    *,
    person: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Phenotypes, their agreement and their markers; ``cells.h5ad`` with `phenotype_rule` and
    `phenotype` (the person's where there is one, else the rule's)."""
    lines: list[str] = []
    if person is not None:
        called, unknown = phenotypes_of_person(cells, _read_csv(person))
        cells.obs["phenotype"] = pd.Categorical(called, list(PHENOTYPES))
        if unknown:
            lines.append(f"note: {unknown} rows of {person} are of no cell of the table")
    chosen = choose_cells(cells, settings.choice)
    lines = [f"note: {note}" for note in chosen.notes] + lines
    by_rule = phenotype_rule(*shape_of(chosen.cells), rule)
    lines.append(
        f"rule: a cell that is no spindle is flat from {by_rule.area_um2:.0f} um2 on; "
        + _counts(by_rule.phenotype)
    )
    group = groups_of(chosen.cells, settings.groups)
    figures: dict[str, Figure] = {}
    kind, ours = by_rule.phenotype, True
    # a column that an earlier run took from the rule is no person's
    if "phenotype" in cells.obs and (person is not None or not _is_rules(cells)):
        ours = False
        kind = chosen.cells.obs["phenotype"].astype(object).to_numpy()
        found = agreement(kind, by_rule.phenotype, groups=group)
        figures["agreement"] = confusion_figure(found.confusion, found.names)
        words = ("ylabel", "person"), ("xlabel", "rule"), ("ylabel", "share of the person's class")
        for ax, (axis, word) in zip((0, 0, 1), words, strict=True):
            figures["agreement"].axes[ax].set(**{axis: word})
        table = pd.DataFrame(found.confusion, columns=list(found.names))
        table.insert(0, "person", found.names)
        write_tables(out_dir, {"agreement": table})
        write_json(out_dir, "agreement", found.kappa._asdict() | {"agreed": found.agreed})
        lines.append(
            f"person: {_counts(kind)}; the rule agrees in {found.agreed:.0%} of "
            f"{found.kappa.n} cells, kappa {found.kappa.estimate:.2f} "
            f"[{found.kappa.low:.2f}, {found.kappa.high:.2f}]"
        )
    everyone = np.arange(chosen.cells.n_obs)
    cells.obs["phenotype_rule"] = column_of_rows(chosen, everyone, list(by_rule.phenotype))
    if ours:
        cells.obs["phenotype"] = cells.obs["phenotype_rule"]
    names = marker_names(chosen.cells, settings.markers)
    values = values_of(chosen.cells, names)
    levels = levels_by_class(values, names, kind, groups=group)
    tables = {"levels": levels}
    figures["levels"] = levels_figure(levels)
    if levels["class"].nunique() > 1:
        tables["differences"] = differences(values, names, kind, groups=group)
        figures["differences"] = effects_figure(tables["differences"])
        lines += _largest(tables["differences"])
    write_tables(out_dir, tables)
    write_figures(out_dir, figures, settings.formats)
    write_cells(cells, Path(out_dir) / "cells.h5ad")
    return lines


def write_factors(
    cells: AnnData,
    out_dir: str | os.PathLike[str],
    settings: ReportSettings,
    factors: FactorSettings | None = None,
) -> list[str]:
    """Comparisons and shares of the variance: ``FACTOR.csv``, ``variance.csv`` and figures."""
    asked = factors or FactorSettings()
    chosen, _, notes = choose_cells(cells, settings.choice)
    names = marker_names(chosen, settings.markers)
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    lines = [f"{chosen.n_obs} cells", *(f"note: {note}" for note in notes)]
    for factor in _factors(chosen, asked.factors):
        unit = asked.unit or _unit(chosen, factor)
        table = _compared(chosen, names, factor, unit)
        tables[factor] = table
        figures[factor] = effects_figure(table)
        lines.append(f"{factor}, the unit is the {unit}:")
        if (lacking := int(chosen.obs[[factor, unit]].isna().any(axis=1).sum())) > 0:
            lines.append(f"  note: {lacking} cells without {factor} or {unit} are left out")
        lines += _largest(table)
    nested = list(asked.nested) if asked.nested is not None else _nested(chosen)
    if nested:
        need_columns(chosen, nested, "shares of the variance need them")
        shares = []
        for name in names:
            value = values_of(chosen, [name])[:, 0]
            there = np.isfinite(value) & chosen.obs[nested].notna().all(axis=1).to_numpy()
            of = {column: _words(chosen, column)[there] for column in nested}
            one = variance_shares(value[there], of)
            one.insert(0, "variable", name)
            shares.append(one)
        tables["variance"] = pd.concat(shares, ignore_index=True)
        figures["variance"] = shares_figure(tables["variance"])
        mean = tables["variance"].groupby("level", sort=False)["share"].mean()
        said = ", ".join(f"{level} {share:.0%}" for level, share in mean.items())
        lines.append(f"share of the variance, mean over markers: {said}")
    if not tables:
        raise DataError(
            "no factor has two levels",
            f"give --factor; the columns are {', '.join(map(str, chosen.obs.columns))}",
        )
    write_tables(out_dir, tables)
    write_figures(out_dir, figures, settings.formats)
    return lines


def _compared(cells: AnnData, names: list[str], factor: str, unit: str) -> pd.DataFrame:
    need_columns(cells, (factor, unit), "a comparison needs the factor and its unit")
    column, values = cells.obs[factor], values_of(cells, names)
    number = pd.api.types.is_numeric_dtype(column)
    # a cell whose level or unit is not known counts nowhere
    known = cells.obs[[factor, unit]].notna().all(axis=1).to_numpy()
    units = _words(cells, unit)[known]
    if number and column.nunique() > _MOST_LEVELS:
        return trend_of_factor(values[known], names, column.to_numpy(float)[known], units)
    return compare_factor(values[known], names, _words(cells, factor)[known], units)


def _words(cells: AnnData, column: str) -> Array:
    """A column as text; wells of one name on two donors or passages are two wells."""
    words = cells.obs[column].astype(str)
    for outer in ("passage", "donor") if column == "well" else ():
        if outer in cells.obs:
            words = cells.obs[outer].astype(str) + "/" + words
    text: Array = words.to_numpy(str)
    return text


def _factors(cells: AnnData, asked: Sequence[str] | None) -> list[str]:
    if asked is not None:
        need_columns(cells, asked, "compare what is there")
        return list(asked)
    return [name for name in FACTORS if name in cells.obs and cells.obs[name].nunique() > 1]


def _unit(cells: AnnData, factor: str) -> str:
    if factor != "donor" and "donor" in cells.obs and cells.obs["donor"].nunique() > 1:
        return "donor"
    return "well" if "well" in cells.obs and factor != "well" else "image"


def _nested(cells: AnnData) -> list[str]:
    """Those of donor, passage and well that each divide what stands above them."""
    nested: list[str] = []
    before = 1
    for name in ("donor", "passage", "well"):
        if name in cells.obs:
            groups = cells.obs.groupby([*nested, name], observed=True).ngroups
            if before < groups < cells.n_obs:
                nested.append(name)
                before = groups
    return nested


def _largest(table: pd.DataFrame) -> list[str]:
    """The three largest of the differences that are significant after Holm."""
    if table["p_holm"].isna().all():
        why = table["note"].iloc[0] if "note" in table else "too few cells or groups"
        return [f"  could not be compared: {why}"]
    sure = table[table["p_holm"] < 0.05]
    sure = sure.reindex(sure["effect"].abs().sort_values(ascending=False).index).head(3)
    lines = []
    for row in sure.to_dict("records"):
        pair = f" {row['a']} - {row['b']}" if "a" in row else ""
        lines.append(
            f"  {row['variable']}{pair}: {row['effect']:+.2f} SD of cells "
            f"[{row['low']:+.2f}, {row['high']:+.2f}], p = {row['p_holm']:.2g} after Holm"
        )
    return lines or ["  no difference is significant after Holm"]


def _counts(kind: Array) -> str:
    counts = pd.Series(kind).value_counts()
    return ", ".join(f"{name} {counts.get(name, 0)}" for name in PHENOTYPES)


def _is_rules(cells: AnnData) -> bool:
    """Whether `phenotype` is what an earlier run took from the rule."""
    if "phenotype_rule" not in cells.obs:
        return False
    both = cells.obs[["phenotype", "phenotype_rule"]].astype(object)
    both = both.where(both.notna(), None)
    return bool(
        (both["phenotype"] == both["phenotype_rule"]).where(both.notna().any(axis=1), True).all()
    )


def _read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    file = Path(path)
    if not file.is_file():
        raise FileError("is not there", "give image,frame,label,phenotype", file=file)
    try:
        return pd.read_csv(file, dtype={"image": str, "id": str})  # image 001 is not 1
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FileError(f"is no table ({error})", "give a CSV file", file=file) from error
