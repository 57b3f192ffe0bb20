"""``unstained heterogeneity``: distributions, clusters, components, phenotypes, factors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, contents_of
from ._group import WholeSentences
from ._tables import check_folder
from ._words import listed

if TYPE_CHECKING:
    from anndata import AnnData

    from ..heterogeneity.report import ReportSettings

app = typer.Typer(
    cls=WholeSentences,
    help="See how cells differ: by marker, by shape, by donor and passage.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Cells = Annotated[
    Path, typer.Argument(metavar="CELLS.h5ad", help="Table that `cells measure` wrote.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and figures.")]
Markers = Annotated[
    str | None, typer.Option(metavar="A,B", help="Markers to look at [default: all].")
]
Shape = Annotated[
    str | None, typer.Option(metavar="A,B", help="Shape features, or none [default: all].")
]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN=VALUE", help="Only such cells; may be repeated."),
]
Frame = Annotated[
    int | None,
    typer.Option(help="Frame of a movie [default: each cell's mean over its frames]."),
]
KeepBorder = Annotated[
    bool, typer.Option("--keep-border", help="Also cells that touch the border.")
]
Groups = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="What is independent (donor, well), for intervals, tests."),
]
Formats = Annotated[str, typer.Option("--format", help="Of figures: png, svg, pdf.")]


@app.command()
def distributions(
    cells: Cells,
    out: Out,
    markers: Markers = None,
    where: Where = None,
    frame: Frame = None,
    keep_border: KeepBorder = False,
    groups: Groups = None,
    formats: Formats = "png,svg",
) -> None:
    """How widely each marker varies from cell to cell."""
    from ..heterogeneity.report import write_distributions

    settings = _settings((markers, None), where, frame, keep_border, groups, formats)
    _report(cells, out, lambda table: write_distributions(table, out, settings))


@app.command()
def clusters(
    cells: Cells,
    out: Out,
    number: Annotated[int, typer.Option("--clusters", help="Into which the tree is cut.")] = 3,
    scale: Annotated[str, typer.Option(help="log2 or fold (change), or z.")] = "log2",
    linkage: Annotated[str, typer.Option(help="Of cells: ward, average, complete ...")] = "ward",
    metric: Annotated[str, typer.Option(help="Of cells, as SciPy names it.")] = "euclidean",
    variable_linkage: Annotated[str, typer.Option(help="Of variables.")] = "average",
    variable_metric: Annotated[str, typer.Option(help="Of variables.")] = "correlation",
    markers: Markers = None,
    shape: Shape = None,
    where: Where = None,
    frame: Frame = None,
    keep_border: KeepBorder = False,
    groups: Groups = None,
    formats: Formats = "png,svg",
) -> None:
    """Which cells are alike, and which variables go together."""
    from ..heterogeneity.clusters import ClusterSettings
    from ..heterogeneity.report import write_clusters

    how = ClusterSettings(number, scale, linkage, metric, variable_linkage, variable_metric)
    settings = _settings((markers, shape), where, frame, keep_border, groups, formats)
    _report(cells, out, lambda table: write_clusters(table, out, settings, how))


@app.command()
def components(
    cells: Cells,
    out: Out,
    color_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Colors of the cells [default: phenotype]."),
    ] = None,
    markers: Markers = None,
    shape: Shape = None,
    where: Where = None,
    frame: Frame = None,
    keep_border: KeepBorder = False,
    groups: Groups = None,
    formats: Formats = "png,svg",
) -> None:
    """Along which directions cells differ, and what markers and shape have in common."""
    from ..heterogeneity.report import write_components

    settings = _settings((markers, shape), where, frame, keep_border, groups, formats)
    _report(cells, out, lambda table: write_components(table, out, settings, color_by=color_by))


@app.command()
def phenotypes(
    cells: Cells,
    out: Out,
    person: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="image,frame,label,phenotype or id,phenotype."),
    ] = None,
    aspect_ratio: Annotated[float, typer.Option(help="From here on a cell is a spindle.")] = 2.5,
    area: Annotated[
        float | None,
        typer.Option(metavar="UM2", help="From here on another cell is flat [default: found]."),
    ] = None,
    markers: Markers = None,
    where: Where = None,
    frame: Frame = None,
    keep_border: KeepBorder = False,
    groups: Groups = None,
    formats: Formats = "png,svg",
) -> None:
    """Spindle-shaped (SS), self-renewing (RS) and flat (FC) cells, and their markers."""
    from ..heterogeneity.phenotypes import RuleSettings
    from ..heterogeneity.report_groups import write_phenotypes

    settings = _settings((markers, None), where, frame, keep_border, groups, formats)
    rule = RuleSettings(aspect_ratio, area)
    _report(cells, out, lambda table: write_phenotypes(table, out, settings, rule, person=person))


@app.command()
def factors(
    cells: Cells,
    out: Out,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="To compare; may be repeated [default: donor, passage, medium, density].",
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            "--unit",
            "--groups",
            metavar="COLUMN",
            help="What is replicated, the unit of the tests [default: donor, well or image].",
        ),
    ] = None,
    nested: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Levels that share the variance, outermost first, or none "
            "[default: donor,passage,well].",
        ),
    ] = None,
    markers: Markers = None,
    where: Where = None,
    frame: Frame = None,
    keep_border: KeepBorder = False,
    formats: Formats = "png,svg",
) -> None:
    """Do cells differ between donors, passages, media, densities, and by how much?"""
    from ..heterogeneity.report_groups import FactorSettings, write_factors

    settings = _settings((markers, None), where, frame, keep_border, None, formats)
    asked = FactorSettings(factor or None, unit, _names(nested))
    _report(cells, out, lambda table: write_factors(table, out, settings, asked))


def _settings(
    variables: tuple[str | None, str | None],
    where: list[str] | None,
    frame: int | None,
    keep_border: bool,
    groups: str | None,
    formats: str,
) -> ReportSettings:
    from ..heterogeneity.choice import Choice
    from ..heterogeneity.report import ReportSettings

    wanted: dict[str, list[str]] = {}
    for word in where or []:
        column, equals, value = word.partition("=")
        if not (column and equals):
            raise InputError(f"--where {word!r}", "give COLUMN=VALUE, such as donor=D1")
        wanted.setdefault(column, []).append(value)
    choice = Choice(wanted, frame, keep_border)
    markers, shape = (_names(words) for words in variables)
    return ReportSettings(choice, markers, shape, groups, _names(formats) or ())


def _names(words: str | None) -> list[str] | None:
    """Names between commas; none for ``none``; None where nothing was said."""
    if words is None:
        return None
    return [] if words == "none" else listed(words)


def _report(cells: Path, out: Path, write: Callable[[AnnData], list[str]]) -> None:
    """Read the table, write tables and figures into the folder, print what they say."""
    from ..cell_table import read_cells

    check_folder(out)
    table = read_cells(cells)
    with contents_of(cells):
        lines = write(table)
    for line in lines:
        print(line)
    print(f"written: {out}")
