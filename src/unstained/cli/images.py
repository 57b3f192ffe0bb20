"""``unstained images``: check pairs of images, take backgrounds away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._group import WholeSentences
from ._words import expanded

if TYPE_CHECKING:
    from ..images.findings import CheckReport

app = typer.Typer(
    cls=WholeSentences,
    help="Check pairs of images before training; subtract background.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _images() -> None:
    """Check pairs of images before training; subtract background."""


@app.command()
def check(
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST", help="CSV, folders PHASE:STAIN, a folder, an image, or a data set."
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
    corrected: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write moved stains and a new manifest there."),
    ] = None,
) -> None:
    """Check pairs of images: a table, the findings, and what to do about them.

    Exit code 0: usable. 1: there are errors, or nothing could be read.
    """
    import sys

    from ..images.check import check_pairs
    from ..images.sources import load_pairs

    pairs = load_pairs(manifest)
    report = check_pairs(pairs, progress=_progress if sys.stderr.isatty() else None)
    if json:
        print(report.to_json())
    else:
        _show(report)
    if corrected is not None:
        from ..images.correct import write_corrected

        write_corrected(pairs, report, corrected)
        print(f"Corrected pairs: {corrected / 'manifest.csv'}", file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def background(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Stain images, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")],
    control: Annotated[
        list[Path] | None,
        typer.Option(metavar="IMAGE", help="Secondary antibody only, same exposure; repeatable."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Without control: polynomial, percentile or constant.")
    ] = "polynomial",
    radius: Annotated[
        float, typer.Option(metavar="PX", help="For percentile: larger than the largest object.")
    ] = 64.0,
) -> None:
    """Subtract the background of stains; float32 OME-TIFF, background at 0."""
    from ..images.background import background_files

    for path in background_files(
        [Path(image) for image in expanded(map(str, images))],
        out,
        controls=control or (),
        method=method,
        radius_px=radius,
        notify=lambda text: print(f"note: {text}"),
    ):
        print(path)


def _show(report: CheckReport) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)  # a file has no edge to wrap at
    table = Table(title=f"{escape(report.name)}: {report.counts['rows']} rows", box=SIMPLE)
    for name in ("stain", "marker", "offset px", "snr_rms", "snr_var", "c_max", "clipped", "sharp"):
        left = name in ("stain", "marker")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    most = 40
    for row in report.table.head(most).to_dict("records"):
        y, x, error = (row[f"offset_{name}_px"] for name in ("y", "x", "error"))
        table.add_row(
            escape(str(row["stain"])),
            escape(str(row["marker"])),
            f"{y:+.1f} {x:+.1f} \u00b1 {error:.1f}" if row["offset_sure"] else "?",
            _number(row["snr_rms"], ".3g"),
            _number(row["snr_var"], ".0f" if row["snr_var"] >= 100 else ".3g"),
            _number(row["c_max"], ".3f"),
            _number(row["saturation"], ".2%"),
            _number(row["sharpness"], ".2f"),
        )
    console.print(table)
    console.print("offset: down, right; ? where it cannot be told. clipped: share of the pixels.")
    if len(report.table) > most:
        console.print(f"... and {len(report.table) - most} more: --json lists all")
    for problem in report.problems:
        remedy = f" -> {problem.remedy}" if problem.remedy else ""
        line = f"{problem.severity}: {problem.where}: {problem.found}{remedy}"
        console.print(escape(line), soft_wrap=True)
    console.print(escape(report.verdict()), soft_wrap=True)


def _number(value: float, form: str) -> str:
    return "" if value != value else format(value, form)


def _progress(done: int, total: int) -> None:
    import sys

    end = "\n" if done == total else ""
    print(f"\r{done} of {total} image pairs", end=end, file=sys.stderr, flush=True)
