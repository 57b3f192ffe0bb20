"""``unstained cells track`` and ``score-tracks``: follow cells over a movie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._progress import Bar

__all__ = ["score_tracks", "track"]


def track(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Made by unstained cells segment or outline.")
    ],
    max_distance: Annotated[
        float | None,
        typer.Option(metavar="UM", help="From frame to frame; else a cell's diameter."),
    ] = None,
    max_gap: Annotated[
        int, typer.Option(metavar="FRAMES", help="A cell may be missed for; 0 closes no gap.")
    ] = 2,
    divisions: Annotated[
        float,
        typer.Option(metavar="COST", help="Largest cost of a division; lower is stricter."),
    ] = 1.0,
    ctc: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write the Cell Tracking Challenge's format."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace tracks.")] = False,
) -> None:
    """Follow the cells of each movie, with divisions, merges and gaps.

    Writes track_of.csv, tracks.csv, divisions.csv and events.csv into the folder.
    """
    from ..cells.track_files import export_ctc, track_folder
    from ..cells.tracking import TrackSettings
    from ..cells.tracks import EVENT_KINDS

    settings = TrackSettings(
        max_distance_um=max_distance, max_gap=max_gap, max_division_cost=divisions
    )
    with Bar("frames") as bar:
        tracked, notes = track_folder(folder, settings, overwrite=overwrite, progress=bar)
    kinds = tracked.events["kind"].value_counts()
    counts = ", ".join(f"{kind} {int(kinds.get(kind, 0))}" for kind in EVENT_KINDS)
    print(f"{len(tracked.track_of)} cells in {len(tracked.tracks)} tracks: {folder}")
    print(f"events: {counts}")
    for note in notes:
        print(f"note: {note}")
    if ctc is not None:
        for made in export_ctc(folder, ctc):
            print(made)


def score_tracks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="With tracks.")],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH", help="Cell Tracking Challenge folder, or a simulated movie."
        ),
    ],
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the folder has several.")
    ] = None,
    tolerance: Annotated[
        int, typer.Option(metavar="FRAMES", help="By which a division may be off.")
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score tracks by the truth: TRA, DET, links, divisions, identities, frames followed."""
    from ..cells.track_files import score_folder

    scores = score_folder(folder, truth, image=image, division_tolerance=tolerance)
    if as_json:
        told = scores._asdict() | {"followed": scores.followed.to_dict("records")}
        from ..images.atomic import json_text

        print(json_text(told, indent=1))
        return
    n, ops = scores.divisions, scores.operations
    print(f"TRA {scores.tra:.4f}  DET {scores.det:.4f}")
    print("operations  " + "  ".join(f"{name} {count}" for name, count in ops.items()))
    print(f"links       precision {scores.link_precision:.4f}, recall {scores.link_recall:.4f}")
    print(
        f"divisions   F1 {scores.division_f1:.3f}: {n['right']} right of {n['found']} found, "
        f"{n['true']} true"
    )
    print(f"identity    IDF1 {scores.idf1:.4f}")
    print(
        f"followed    {scores.followed_share:.1%} of the frames; "
        f"{scores.complete_share:.1%} of {len(scores.followed)} tracks complete"
    )
