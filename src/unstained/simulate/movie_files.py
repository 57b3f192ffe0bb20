"""A movie and the truth about it as files, written frame by frame."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..images.atomic import atomic_dir, write_json, write_text
from ..images.ome_zarr_writer import write_ome_zarr
from .movie import SHAPE_COLUMNS, Movie

__all__ = ["write_movie"]

LINEAGE_COLUMNS = ("label", "begin", "end", "parent", "phenotype", "fate")
EXPRESSION_COLUMNS = ("frame", "time_s", "label", "marker", "level")


def write_movie(
    movie: Movie,
    out_dir: str | os.PathLike[str],
    *,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write a movie into a new folder; memory depends on a frame, not on the movie.

    ``movie.ome.zarr``: axes T C Z Y X, label-free image and stains, labels ``cells`` and
    ``nuclei``. ``res_track.txt``: tracks in the columns of the Cell Tracking Challenge, L B E P.
    ``lineage.csv``: label, begin, end, parent, phenotype, fate. ``expression.csv``: frame,
    time_s, label, marker, level. ``shape.csv``: frame, label, position, area and so on.
    ``settings.json``: everything that the movie depends on.

    A cell's light is ``level * elongation ** exponent`` times its structure, `elongation` being
    that of ``shape.csv`` and the exponent `Marker.elongation` (CD105 0.25, CD29 0.1, CD44 0,
    STRO-1 0.3).

    Parameters
    ----------
    movie : Movie
    out_dir : path-like
        Must not exist yet.
    workers : int
        Threads.
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    Path
        The OME-Zarr image.

    Raises
    ------
    InputError
        No worker.
    FileError
        The folder exists or cannot be written.
    """
    out_dir = Path(out_dir)
    with atomic_dir(out_dir) as folder:
        write_ome_zarr(
            movie.image(workers=workers, progress=progress),
            folder / "movie.ome.zarr",
            labels={what: movie.labels(what) for what in ("cells", "nuclei")},
        )
        _write_truth(movie, folder)
    return out_dir / "movie.ome.zarr"


def _write_truth(movie: Movie, folder: Path) -> None:
    lines = (" ".join(map(str, row)) for row in movie.ctc_tracks().tolist())
    write_text(folder / "res_track.txt", "".join(f"{line}\n" for line in lines))
    lineage = (
        (track.label, track.begin, track.end, track.parent, track.build.phenotype, track.fate)
        for track in movie.tracks
    )
    _write_csv(folder / "lineage.csv", LINEAGE_COLUMNS, lineage)
    interval = movie.settings.interval_s
    expression = (
        (t, f"{t * interval:g}", track.label, marker, f"{track.level[t - track.begin, i]:.5f}")
        for track in movie.tracks
        for t in range(track.begin, track.end + 1)
        for i, marker in enumerate(movie.markers)
    )
    _write_csv(folder / "expression.csv", EXPRESSION_COLUMNS, expression)
    shape = (
        (t, *(f"{value:.6g}" for value in row.values()))
        for t in range(movie.settings.frames)
        for row in movie.shape(t)
    )
    _write_csv(folder / "shape.csv", ("frame", *SHAPE_COLUMNS), shape)
    write_json(folder / "settings.json", asdict(movie.settings))


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
