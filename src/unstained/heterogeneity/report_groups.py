"""What the commands that compare kinds of cells write: phenotypes and factors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..cell_table import need_columns, values_of, write_cells
from ..errors import DataError, contents_of, some_of
from ..figures.colonies_compare import confusion_figure
from ..figures.heterogeneity_groups import effects_figure, levels_figure, shares_figure
from ..images.atomic import write_json
from ..images.image import Array
from ..images.tables import read_table
from .choice import (
    choose_cells,
    column_of_rows,
    groups_of,
    known_in,
    marker_names,
    varying,
    words_of,
)
from .effects import differences, levels_by_class
from .factors import compare_factor, trend_of_factor
from .phenotypes import (
    PHENOTYPES,
    Agreement,
    Rule,
    RuleSettings,
    agreement,
    phenotype_rule,
    phenotypes_of_person,
    shape_of,
)
from .report import (
    ReportSettings,
    bounds,
    clear_earlier,
    note_lines,
    what_is_independent,
    write_figures,
    write_tables,
)
from .variance import variance_shares

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

__all__ = ["FactorSettings", "write_factors", "write_phenotypes"]

FACTORS = ("donor", "passage", "medium", "density")
_MOST_LEVELS = 4  # a number with more is a trend, not a set of kinds
_FEW_GROUPS = 6  # up to here the outermost share is hardly known: see `variance_shares`


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
    called: list[str] = []
    if person is not None:
        with contents_of(person):
            by_person, unknown = phenotypes_of_person(cells, _read_csv(person))
        cells.obs["phenotype"] = pd.Categorical(by_person, list(PHENOTYPES))
        if unknown:
            called = note_lines([f"{unknown} rows of {person} are of no cell of the table"])
    chosen = choose_cells(cells, settings.choice)
    by_rule = phenotype_rule(*shape_of(chosen.cells), rule)
    names, left_out = varying(chosen.cells, marker_names(chosen.cells, settings.markers))
    lines = [*note_lines(chosen.notes), *called, *note_lines(left_out), _of_rule(by_rule)]
    group = groups_of(chosen.cells, settings.groups)
    clear_earlier(out_dir, ("levels", "differences", "agreement"))
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    kind, ours = by_rule.phenotype, True
    # a column that an earlier run took from the rule is no person's
    if "phenotype" in cells.obs and (person is not None or not _is_rules(cells)):
        ours = False
        kind = chosen.cells.obs["phenotype"].astype(object).to_numpy()
        found = agreement(kind, by_rule.phenotype, groups=group)
        figures["agreement"] = _confusion(found)
        tables["agreement"] = pd.DataFrame(found.confusion, columns=list(found.names))
        tables["agreement"].insert(0, "person", found.names)
        told = found.kappa._asdict() | {"agreed": found.agreed}
        write_json(Path(out_dir) / "agreement.json", told)
        lines.append(_of_person(kind, found))
    everyone = np.arange(chosen.cells.n_obs)
    cells.obs["phenotype_rule"] = column_of_rows(chosen, everyone, list(by_rule.phenotype))
    if ours:
        cells.obs["phenotype"] = cells.obs["phenotype_rule"]
    values = values_of(chosen.cells, names)
    tables["levels"] = levels_by_class(values, names, kind, groups=group)
    figures["levels"] = levels_figure(tables["levels"])
    if tables["levels"]["class"].nunique() > 1:
        tables["differences"] = differences(values, names, kind, groups=group)
        figures |= _effects("differences", tables["differences"])
        lines += _largest(tables["differences"])
    else:
        lines.append("  one phenotype only: nothing to compare")
    write_tables(out_dir, tables)
    write_figures(out_dir, figures, settings.formats)
    write_cells(cells, Path(out_dir) / "cells.h5ad")
    return [*lines, *what_is_independent(chosen.cells, settings.groups)]


def _effects(name: str, table: pd.DataFrame) -> dict[str, Figure]:
    """The figure of a comparison; none where nothing could be compared."""
    return {name: effects_figure(table)} if table["effect"].notna().any() else {}


def _of_rule(found: Rule) -> str:
    where = f"a cell that is no spindle is flat from {found.area_um2:.0f} um2 on"
    if np.isnan(found.area_um2):
        where = "all cells are spindles, so no area was needed"
    return f"rule: {where}; {_counts(found.phenotype)}"


def _of_person(kind: Array, found: Agreement) -> str:
    kappa = f"kappa {found.kappa.estimate:.2f}{bounds(found.kappa.low, found.kappa.high)}"
    if np.isnan(found.kappa.estimate):
        kappa = "no kappa, since both call all cells one thing"
    return (
        f"person: {_counts(kind)}; the rule agrees in {found.agreed:.0%} of "
        f"{found.kappa.n} cells, {kappa}"
    )


def _confusion(found: Agreement) -> Figure:
    figure = confusion_figure(found.confusion, found.names)
    words = ("ylabel", "person"), ("xlabel", "rule"), ("ylabel", "share of the person's class")
    for ax, (axis, word) in zip((0, 0, 1), words, strict=True):
        figure.axes[ax].set(**{axis: word})
    return figure


def write_factors(
    cells: AnnData,
    out_dir: str | os.PathLike[str],
    settings: ReportSettings,
    factors: FactorSettings | None = None,
) -> list[str]:
    """Comparisons and shares of the variance: ``FACTOR.csv``, ``variance.csv`` and figures."""
    asked = factors or FactorSettings()
    chosen, _, notes = choose_cells(cells, settings.choice)
    names, left_out = varying(chosen, marker_names(chosen, settings.markers))
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    lines = [f"{chosen.n_obs} cells", *note_lines((*notes, *left_out))]
    for factor in _factors(chosen, asked.factors):
        unit = asked.unit or _unit(chosen, factor)
        try:
            table = _compared(chosen, names, factor, unit)
        except DataError as error:
            if asked.factors is not None:
                raise
            lines += note_lines([f"{factor}: {error.reason}: left out"])
            continue
        tables[factor] = table
        figures |= _effects(factor, table)
        lines.append(f"{factor}, the unit is the {unit}:")
        if (lacking := int((~known_in(chosen, (factor, unit))).sum())) > 0:
            lines.append(f"  note: {lacking} cells without {factor} or {unit} are left out")
        lines += _largest(table)
    nested = list(asked.nested) if asked.nested is not None else _nested(chosen)
    if nested:
        try:
            tables["variance"], of_variance = _shares(chosen, names, nested)
            figures["variance"] = shares_figure(tables["variance"])
        except DataError as error:
            if asked.nested is not None or not tables:
                raise
            of_variance = note_lines([f"shares of the variance: {error.reason}: left out"])
        lines += of_variance
    if not tables:
        raise DataError(
            "no factor has two levels",
            f"give --factor; the columns are {', '.join(map(str, chosen.obs.columns))}",
        )
    clear_earlier(out_dir, _compared_earlier(out_dir, cells))
    write_tables(out_dir, tables)
    write_figures(out_dir, figures, settings.formats)
    return lines


def _compared_earlier(out_dir: str | os.PathLike[str], cells: AnnData) -> list[str]:
    """``variance`` and the factors whose table lies in a folder, known by its first column.

    ``donor.csv`` may be a person's own.
    """
    tables = [(name, Path(out_dir) / f"{name}.csv") for name in (*cells.obs.columns, "variance")]
    return [
        name
        for name, file in tables
        if file.is_file() and file.read_bytes().startswith(b"variable,")
    ]


def _shares(cells: AnnData, names: list[str], nested: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Shares of the variance, marker by marker; notes, and what they are on average."""
    need_columns(cells, nested, "shares of the variance need them")
    shares: list[pd.DataFrame] = []
    lines: list[str] = []
    known = known_in(cells, nested)
    if not known.all():
        lines += note_lines(
            [f"shares: {(~known).sum()} cells without {' or '.join(nested)} were left out"]
        )
    for name in names:
        value = values_of(cells, [name])[:, 0]
        there = np.isfinite(value) & known
        of = {column: words_of(cells, column)[there] for column in nested}
        try:
            one = variance_shares(value[there], of)
        except DataError as error:  # as a marker that was stained in one donor only
            if name == names[-1] and not shares:
                raise
            lines += note_lines([f"variance of {name}: {error.reason}: left out"])
            continue
        one.insert(0, "variable", name)
        shares.append(one)
    table = pd.concat(shares, ignore_index=True)
    mean = table.groupby("level", sort=False)["share"].mean()
    words = ", ".join(f"{level} {share:.0%}" for level, share in mean.items())
    lines.append(f"share of the variance, mean over markers: {words}")
    if (outermost := int(table["groups"].iloc[0])) <= _FEW_GROUPS:
        lines += note_lines([f"{outermost} {nested[0]}s tell little of the share between them"])
    return table, lines


def _compared(cells: AnnData, names: list[str], factor: str, unit: str) -> pd.DataFrame:
    need_columns(cells, (factor, unit), "a comparison needs the factor and its unit")
    column, values = cells.obs[factor], values_of(cells, names)
    number = pd.api.types.is_numeric_dtype(column)
    # a cell whose level or unit is not known counts nowhere
    known = known_in(cells, (factor, unit))
    units = words_of(cells, unit)[known]
    if number and column.nunique() > _MOST_LEVELS:
        return trend_of_factor(values[known], names, column.to_numpy(float)[known], units)
    return compare_factor(values[known], names, words_of(cells, factor)[known], units)


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
    """The three largest of the differences that are significant after Holm; and what could not
    be compared."""
    lines = []
    sure = table[table["p_holm"] < 0.05]
    sure = sure.reindex(sure["effect"].abs().sort_values(ascending=False).index).head(3)
    for row in _rows(sure):
        lines.append(
            f"  {_what(row)}: {row['effect']:+.2f} SD of cells"
            f"{bounds(row['low'], row['high'], '+.2f')}, p = {row['p_holm']:.2g} after Holm"
        )
    untold = table[table["p_holm"].isna()]
    if sure.empty and len(untold) < len(table):
        lines.append("  no difference is significant after Holm")
    if not untold.empty:
        why = untold.get("note", pd.Series("too few cells or groups", untold.index))
        for reason, part in untold.groupby(why):
            what = some_of([_what(row) for row in _rows(part)], 3)
            what = "nothing" if len(part) == len(table) else what
            verb = "could" if what == "nothing" else "could not"
            lines.append(f"  {what} {verb} be compared: {reason}")
    return lines


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _what(row: Mapping[str, Any]) -> str:
    return f"{row['variable']} {row['a']} - {row['b']}" if "a" in row else str(row["variable"])


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
    table = read_table(Path(path))
    for name in () if "id" in table else table.columns.intersection(["frame", "label"]):
        numbers = pd.to_numeric(table[name], errors="coerce")  # 01 is 1, but image 01 is not
        odd = np.flatnonzero(~(numbers % 1 == 0))
        if odd.size:
            raise DataError(
                f"row {odd[0] + 1}: {name} is {table[name].iloc[odd[0]]!r}", "give a whole number"
            )
        table[name] = numbers.astype(int)
    return table
