"""What each command of `unstained heterogeneity` writes: tables, figures, a few lines of text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..cell_table import values_of, write_cells
from ..errors import DataError, InputError
from ..figures import save_figure
from ..figures.heterogeneity import Heatmap, cluster_heatmap, distribution_figure
from ..figures.heterogeneity_components import Biplot, biplot, correlation_figure, explained_figure
from ..images.atomic import write_csv, write_json
from ..images.image import Array
from .choice import (
    Choice,
    Values,
    choose_cells,
    column_of_rows,
    complete_values,
    groups_of,
    known_in,
    marker_names,
    shape_names,
    varying,
    words_of,
)
from .clusters import Clusters, ClusterSettings, cluster_cells, cut_stability
from .components import Components, principal_components
from .marker_shape import correlations, orthogonality
from .marker_spread import distributions
from .phenotypes import phenotype_rule, shape_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

__all__ = ["ReportSettings", "write_clusters", "write_components", "write_distributions"]

FORMATS = ("png", "svg", "pdf")
_FEW_OF_CLUSTER = 10  # cells a cluster: with fewer its mean is off by a third of its spread
_SETS = ("markers", "markers-and-shape")
_OF_COMPONENTS = (
    *(f"{what}-{of}" for what in ("biplot", "variance", "loadings") for of in _SETS),
    *("correlations", "orthogonality"),
)


@dataclass(frozen=True)
class ReportSettings:
    """What all reports share.

    Attributes
    ----------
    choice : Choice
    markers, shape : sequence of str or None
        Variables; all where None. An empty `shape` is none.
    groups : str or None
        Column of ``obs`` whose levels are independent, for intervals.
    formats : sequence of str
        png, svg, pdf.
    """

    choice: Choice = field(default_factory=Choice)
    markers: Sequence[str] | None = None
    shape: Sequence[str] | None = None
    groups: str | None = None
    formats: Sequence[str] = ("png", "svg")

    def __post_init__(self) -> None:
        odd = [name for name in self.formats if name not in FORMATS]
        if odd or not self.formats:
            raise InputError(f"format {', '.join(odd) or 'none'}", f"choose {', '.join(FORMATS)}")

    def variables(self, cells: AnnData) -> tuple[list[str], list[str]]:
        """Names of the markers and of the shape features."""
        shape = [] if self.shape is not None and not self.shape else shape_names(cells, self.shape)
        return marker_names(cells, self.markers), shape


def write_distributions(
    cells: AnnData, out_dir: str | os.PathLike[str], settings: ReportSettings
) -> list[str]:
    """Spread of each marker: ``distributions.csv`` and a figure of histograms."""
    chosen = choose_cells(cells, settings.choice)
    names, left_out = varying(chosen.cells, marker_names(chosen.cells, settings.markers))
    table = distributions(chosen.cells, names, groups=settings.groups)
    values = {name: values_of(chosen.cells, [name])[:, 0] for name in names}
    clear_earlier(out_dir, ("distributions",))
    write_tables(out_dir, {"distributions": table})
    write_figures(out_dir, {"distributions": distribution_figure(values, table)}, settings.formats)
    lines = [f"{chosen.cells.n_obs} cells", *note_lines((*chosen.notes, *left_out))]
    for row in table.to_dict("records"):
        lines.append(
            f"{row['marker']}: SD {row['sd_percent']:.1f} %{bounds(row['low'], row['high'], '.1f')}"
            f", skewness {row['skewness']:.2f}, {row['n']} cells"
        )
    return [*lines, *what_is_independent(chosen.cells, settings.groups)]


def write_clusters(
    cells: AnnData,
    out_dir: str | os.PathLike[str],
    settings: ReportSettings,
    clustering: ClusterSettings | None = None,
) -> list[str]:
    """Trees of cells and variables: ``clusters.csv``, a heatmap, and ``cells.h5ad`` with
    the column `cluster`."""
    how = clustering or ClusterSettings()
    chosen = choose_cells(cells, settings.choice)
    markers, shape = settings.variables(chosen.cells)
    kept = complete_values(
        chosen.cells, markers + shape, at_least=max(2, how.clusters), log=how.scale == "log2"
    )
    found = cluster_cells(kept.values, how)
    mean = pd.DataFrame(found.scaled, columns=list(kept.names)).groupby(found.cluster).mean()
    mean.insert(0, "n", np.bincount(found.cluster)[1:])
    order = [kept.names[i] for i in found.variable_order]
    tables = {
        "clusters": mean.rename_axis("cluster").reset_index(),
        "variables": pd.DataFrame({"position": range(1, len(order) + 1), "variable": order}),
    }
    lines = [f"{len(kept.rows)} cells", *note_lines((*chosen.notes, *kept.notes))]
    if len(kept.rows) < _FEW_OF_CLUSTER * how.clusters:
        lines += note_lines(
            [
                f"{len(kept.rows)} cells are too few to tell {how.clusters} clusters from chance: "
                f"give {_FEW_OF_CLUSTER * how.clusters} or more, or see them as single cells"
            ]
        )
    sizes = ", ".join(f"{c}: {n}" for c, n in mean["n"].items())
    lines.append(f"cells of each cluster, from left to right: {sizes}")
    group = groups_of(chosen.cells, settings.groups)
    of_rows = None if group is None else group[kept.rows]
    if of_rows is not None:
        tables["groups"] = pd.crosstab(
            pd.Series(of_rows, name=settings.groups), pd.Series(found.cluster, name="cluster")
        ).reset_index()
    clear_earlier(out_dir, ("clusters", "variables", "groups"))
    lines += _stability(found, how, of_rows, out_dir)
    write_tables(out_dir, tables)
    drawn = Heatmap(found.scaled, kept.names, found.cell_tree, found.variable_tree, found.cluster)
    figure = cluster_heatmap(drawn, markers=markers, scale=how.scale)
    write_figures(out_dir, {"clusters": figure}, settings.formats)
    cells.obs["cluster"] = column_of_rows(chosen, kept.rows, [str(c) for c in found.cluster])
    write_cells(cells, Path(out_dir) / "cells.h5ad")
    lines.append(f"variables from top to bottom: {', '.join(order)}")
    return [*lines, *what_is_independent(chosen.cells, settings.groups)]


def _stability(
    found: Clusters, how: ClusterSettings, groups: Array | None, out_dir: str | os.PathLike[str]
) -> list[str]:
    """Does the cut come back from other cells, or in each group? ``clusters.json`` and a line."""
    stable = cut_stability(found.scaled, how, groups=groups)
    told = {"stability": stable._asdict(), "cells": len(found.cluster)}
    write_json(Path(out_dir) / "clusters.json", told)
    if how.clusters == 1:
        return []
    what = "stability of the cut" if groups is None else "the cut in each group as in the others"
    verdict = "more" if stable.p < 0.05 else "not more"
    return [
        f"{what} (adjusted Rand) {stable.rand:.2f}{bounds(stable.low, stable.high)}, "
        f"{stable.structureless:.2f} where there are no clusters: {verdict} than chance "
        f"(p = {stable.p:.3f})"
    ]


def write_components(
    cells: AnnData,
    out_dir: str | os.PathLike[str],
    settings: ReportSettings,
    *,
    color_by: str | None = None,
) -> list[str]:
    """Components of markers alone and of markers with shape: tables, biplots, and what the two
    share. ``cells.h5ad`` holds the cells that were used, a row each, with ``obsm["X_pca"]``."""
    chosen = choose_cells(cells, settings.choice)
    markers, shape = settings.variables(chosen.cells)
    lines = note_lines(chosen.notes)
    if color_by is None:
        if "phenotype" not in chosen.cells.obs and _add_rule(chosen.cells, shape):
            lines.append("note: cells are colored by the rule for phenotypes")
        color_by = "phenotype" if "phenotype" in chosen.cells.obs else None
    group = groups_of(chosen.cells, settings.groups)
    sets = {_SETS[0]: markers} | ({_SETS[1]: markers + shape} if shape else {})
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    used: AnnData | None = None
    for name, variables in sets.items():
        kept = complete_values(chosen.cells, variables)
        lines += note_lines(kept.notes)
        if len(kept.names) < 2:
            lines.append(f"note: {name}: components need two variables")
            continue
        of_rows = None if group is None else group[kept.rows]
        found = principal_components(kept.values, kept.names, groups=of_rows)
        of_cells = color_column(chosen.cells, color_by, kept.rows)
        drawn = Biplot(found.scores, found.correlations, found.names, found.explained)
        figures[f"biplot-{name}"] = biplot(drawn, markers=markers, color_by=of_cells)
        figures[f"variance-{name}"] = explained_figure(found.variance(), cells=len(kept.rows))
        tables[f"loadings-{name}"] = found.loadings()
        tables[f"variance-{name}"] = found.variance()
        lines.append(_explained(name, found))
        used = _with_scores(chosen.cells, kept, found)
    if used is None:
        raise DataError("components need two variables", "give more with --markers and --shape")
    clear_earlier(out_dir, _OF_COMPONENTS)
    if shape:
        lines += _shared(chosen.cells, (markers, shape), group, tables, figures, out_dir)
    write_tables(out_dir, tables)
    write_figures(out_dir, figures, settings.formats)
    write_cells(used, Path(out_dir) / "cells.h5ad")
    lines += what_is_independent(chosen.cells, settings.groups)
    return list(dict.fromkeys(lines))  # both sets may have left out the same


def _explained(name: str, found: Components) -> str:
    first = zip(found.explained[:2], found.low, found.high, strict=False)
    shares = [f"{100 * e:.0f} %{bounds(100 * low, 100 * high, '.0f')}" for e, low, high in first]
    return (
        f"{name.replace('-', ' ')}: {len(found.scores)} cells; the first components explain "
        f"{', '.join(shares)}"
    )


def _shared(
    cells: AnnData,
    names: tuple[list[str], list[str]],
    group: Array | None,
    tables: dict[str, pd.DataFrame],
    figures: dict[str, Figure],
    out_dir: str | os.PathLike[str],
) -> list[str]:
    """Orthogonality and correlations of markers with shape."""
    kept = complete_values(cells, names[0] + names[1], at_least=4)
    is_marker = np.isin(kept.names, names[0])
    if is_marker.all() or not is_marker.any():
        return ["note: no marker or no shape feature is left: what they share cannot be told"]
    x, y = kept.values[:, is_marker], kept.values[:, ~is_marker]
    of_rows = None if group is None else group[kept.rows]
    total = orthogonality(x, y, groups=of_rows).within_range()
    both = tuple(np.array(kept.names)[side].tolist() for side in (is_marker, ~is_marker))
    table = correlations(x, y, (both[0], both[1]), groups=of_rows)
    tables["correlations"] = table
    figures["correlations"] = correlation_figure(table)
    write_json(Path(out_dir) / "orthogonality.json", total._asdict())
    best = table.iloc[int(table["r"].abs().argmax())]
    return [
        f"orthogonality of markers and shape {total.value:.2f}{bounds(total.low, total.high)} "
        f"(1: no more in common than chance; RV {total.rv:.3f}, by chance {total.chance:.3f}, "
        f"p = {total.p:.3f}; {total.n} cells)",
        f"largest correlation: {best['x']} with {best['y']}, r = {best['r']:.2f}"
        f"{bounds(best['low'], best['high'])}",
    ]


def color_column(cells: AnnData, column: str | None, rows: Array) -> pd.Series[Any] | None:
    """What the points of a figure are colored by; None where nothing is."""
    if column is None:
        return None
    if column not in cells.obs:
        raise InputError(
            f"the cells have no column {column}", f"there are {', '.join(cells.obs.columns)}"
        )
    of_rows: pd.Series[Any] = cells.obs[column].iloc[rows]
    return of_rows.reset_index(drop=True)


def _add_rule(cells: AnnData, shape: Sequence[str]) -> bool:
    """Add phenotypes by the rule as columns of `cells`; False where it cannot be applied."""
    if not {"area_um2", "aspect_ratio"} <= {*shape}:
        return False
    try:
        by_rule = pd.Categorical(phenotype_rule(*shape_of(cells)).phenotype)
    except DataError:  # too few shapes to part: no reason to lose the components
        return False
    # both, by which `write_phenotypes` knows that these are no person's
    cells.obs["phenotype"] = cells.obs["phenotype_rule"] = by_rule
    return True


def _with_scores(cells: AnnData, kept: Values, found: Components) -> AnnData:
    """The cells and variables that were used, and the scores where scanpy expects them.

    Others would have scores or values of NaN, on which scanpy's neighbors fail.
    """
    used = cells[kept.rows, list(kept.names)].copy()
    used.obsm["X_pca"] = found.scores
    return used


def clear_earlier(out_dir: str | os.PathLike[str], names: Sequence[str]) -> None:
    """Remove what an earlier run of a command wrote: tables and figures of these names.

    Another choice of variables makes fewer of them, and the others would pass for its results.
    """
    for name in names:
        for suffix in ("csv", "json", *FORMATS):
            (Path(out_dir) / f"{name}.{suffix}").unlink(missing_ok=True)


def write_tables(out_dir: str | os.PathLike[str], tables: Mapping[str, pd.DataFrame]) -> None:
    """Each as NAME.csv."""
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")


def write_figures(
    out_dir: str | os.PathLike[str], figures: Mapping[str, Figure], formats: Sequence[str]
) -> None:
    """Each as NAME.FORMAT, for every format."""
    for name, figure in figures.items():
        for suffix in dict.fromkeys(formats):
            save_figure(figure, Path(out_dir) / f"{name}.{suffix}")


def note_lines(notes: Sequence[str]) -> list[str]:
    """Notes as lines of text."""
    return [f"note: {note}" for note in notes]


def bounds(low: float, high: float, digits: str = ".2f") -> str:
    """`` [low, high]`` of an interval; nothing where it is not known."""
    return f" [{low:{digits}}, {high:{digits}}]" if np.isfinite([low, high]).all() else ""


def what_is_independent(cells: AnnData, groups: str | None) -> list[str]:
    """A note where intervals took cells of several donors or wells as independent, or where
    --groups left one group, which has none."""
    if groups is not None:
        only = len(np.unique(words_of(cells, groups))) < 2
        return note_lines([f"one {groups} only: no interval"]) if only else []
    several = [
        name
        for name in ("donor", "well")
        if name in cells.obs and len(np.unique(words_of(cells, name)[known_in(cells, (name,))])) > 1
    ]
    if not several:
        return []
    return note_lines(
        [
            "cells are taken as independent, which those of one "
            f"{several[-1]} are not: see --groups {' or '.join(several)}"
        ]
    )
