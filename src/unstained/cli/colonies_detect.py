"""``unstained colonies detect`` and ``votes``: find colonies, merge what people call them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import count_of
from ._progress import Bar
from ._words import expanded, listed

if TYPE_CHECKING:
    from ..colonies.votes import LabelledFolder

__all__ = ["detect", "votes"]


def detect(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Images, movies, folders of images, plates."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Micrometers; else as the files say.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(metavar="H", help="Hours between frames; else from the files.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Where files have several: its name or position.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(help=r'Of file names: "(?P<well>[A-H]\d+)_(?P<frame>\d+)".'),
    ] = None,
    min_area: Annotated[
        int, typer.Option(metavar="PX", help="Smaller objects are removed.")
    ] = 2000,
    min_area_um2: Annotated[
        float | None, typer.Option(metavar="UM2", help="The same in square micrometers.")
    ] = None,
    min_contrast: Annotated[
        float,
        typer.Option(metavar="SD", help="Fainter objects are removed as noise; 0 keeps them."),
    ] = 4.0,
) -> None:
    """Find colonies in images of whole wells, and follow them over the frames.

    Writes colonies.parquet, masks and detection.json; for movies tracks.csv and events.csv.
    """
    from ..colonies.detect import DetectSettings
    from ..colonies.detect_sources import FileOptions
    from ..colonies.detection_folder import detect_files

    settings = DetectSettings(
        min_area_px=min_area, min_area_um2=min_area_um2, min_contrast=min_contrast
    )
    options = FileOptions(pixel_size, interval, channel, pattern)
    with Bar("frames") as bar:
        found = detect_files(expanded(images), out, settings, options, progress=bar)
    wells = found.colonies["well"].nunique()
    print(
        f"{len(found.colonies)} colonies in {found.frames} frames; {wells} wells have some: {out}"
    )
    if found.frames > 1 and len(found.tracks):
        kinds = found.events["kind"].value_counts()
        merges, splits = int(kinds.get("merge", 0)), int(kinds.get("split", 0))
        print(f"{len(found.tracks)} tracks, {merges} merges, {splits} splits")
    for note in found.notes:
        print(f"note: {note}")


def votes(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Detected colonies, a manifest CSV or a folder of images."
        ),
    ],
    votes: Annotated[Path, typer.Option(metavar="CSV", help="image,annotator,label")],
    classes: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="The only labels there may be.")
    ] = None,
) -> None:
    """Merge the labels of several people: the majority, the ties, and how far they agree.

    Writes the columns label, votes and agreement into the table of colonies.
    """
    from ..colonies.votes import votes_into_detection

    _report(votes_into_detection(folder, votes, listed(classes) or None))


def _report(labelled: LabelledFolder) -> None:
    result = labelled.result
    counts = result.labels["label"].value_counts()
    ties = result.labels.loc[result.labels["tie"], "image"].tolist()
    print(f"{count_of(len(result.labels), 'image')} with votes, labels in {labelled.table}")
    for name, count in counts.items():
        if name != "":
            print(f"  {name}: {count}")
    some = ", ".join(ties[:5]) + (" ..." if len(ties) > 5 else "")
    print(f"  tie, no label: {len(ties)}" + (f" ({some})" if ties else ""))
    kappa = "" if result.kappa != result.kappa else f"{result.kappa:.2f}, "
    print(f"Fleiss' kappa: {kappa}{result.kappa_in_words()}")
    for row in result.annotators.to_dict("records"):
        share = row["agreement"]
        text = (
            f"{share:.0%} of {row['compared']}" if share == share else "none (nothing to compare)"
        )
        who = f"{row['annotator']}: {count_of(row['votes'], 'vote')}"
        print(f"  {who}; agrees with the others' majority in {text}")
    if len(result.disagreements):
        print(f"{count_of(len(result.disagreements), 'disagreement')}: {labelled.disagreements}")
    for note in labelled.notes:
        print(f"note: {note}")
