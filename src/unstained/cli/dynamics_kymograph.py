"""``unstained dynamics kymograph``: where markers are in one cell over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from ..errors import DataError, InputError, contents_of, count_of
from ..images.atomic import write_csv
from ._dynamics import Cells, Out, Segmentation, Stains, save_both
from ._progress import Bar
from ._tables import check_folder, new_folder
from ._words import listed

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

    from ..dynamics.kymographs import Kymograph, KymographSettings
    from ..images.image import Image

__all__ = ["chosen_markers", "kymograph", "pixels_of"]


_NAMED = ("image", "path", "labels", "stains", "pixel_size_um", "frame_interval_s")
"""What `unstained cells measure` notes of each image."""


class _Pixels(NamedTuple):
    """Where the pixels of a movie's cells are; `image` opens the label-free one."""

    image: Callable[[], Image]
    labels: Callable[[int], Any]
    stains: dict[str, Image]
    pixel_size_um: float | None
    frame_interval_s: float | None


class _Asked(NamedTuple):
    """Which cell, which markers, and where their pixels are."""

    track: int | None
    image: str | None
    markers: str | None
    skip_min: float
    segmentation: Path | None
    stains: Path | None


def kymograph(
    cells: Cells,
    out: Out,
    track: Annotated[
        int | None, typer.Option(metavar="N", help="Which cell; the longest if not given.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the table has several movies.")
    ] = None,
    markers: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="All if not given.")
    ] = None,
    difference: Annotated[
        str | None, typer.Option(metavar="A,B", help="The first two markers if not given.")
    ] = None,
    axis: Annotated[str, typer.Option(help="cell: its own long axis; image: along x.")] = "cell",
    center: Annotated[
        str,
        typer.Option(
            help="body: frames laid on each other by the cell's wide parts; outline: the outline's "
            "center, which arms move. Not with --relative."
        ),
    ] = "body",
    relative: Annotated[
        bool, typer.Option("--relative", help="Positions as a share of the cell's length.")
    ] = False,
    skip_min: Annotated[
        float,
        typer.Option(metavar="MIN", help="Left out at both ends, where a cell is round."),
    ] = 0.0,
    segmentation: Segmentation = None,
    stains: Stains = None,
) -> None:
    """Where markers are in one cell over time, their difference, and the periods of their waves.

    Writes kymograph.csv, periods.csv, and kymograph and waves as PNG and SVG.
    """
    from ..dynamics.kymograph_files import kymograph_table
    from ..dynamics.kymographs import KymographSettings, marker_difference
    from ..figures.kymographs import kymograph_figure

    if skip_min < 0:
        raise InputError(f"--skip-min {skip_min:g}", "give 0 or more minutes")
    settings = KymographSettings(axis=cast(Any, axis), center=cast(Any, center), relative=relative)
    check_folder(out)
    shown = {}
    with contents_of(cells):
        made, interval_s = _made(
            cells,
            _Asked(track, image, markers, skip_min, segmentation, stains),
            settings,
        )
        for first, second in _pairs(list(made.markers), difference):
            found = marker_difference(made, first, second)
            shown[f"{first} \u2212 {second}"] = found.values
            print(f"{first} - {second}: {found.share:.0%} of the fluctuation (r = {found.r:.2f})")
    new_folder(out, "kymograph", "periods", "waves")
    write_csv(kymograph_table(made), out / "kymograph.csv")
    figure = kymograph_figure(
        dict(zip(made.markers, made.values, strict=True)),
        shown,
        time_min=made.time_min,
        position=made.position,
        unit=made.unit,
    )
    save_both(figure, out, "kymograph")
    moving = relative or settings.center == "outline"
    _report_periods(made, interval_s, out, moving=moving)
    print(f"tables and figures: {out}")


def _made(cells: Path, asked: _Asked, settings: KymographSettings) -> tuple[Kymograph, float]:
    """The kymograph of the cell that is asked for, and seconds from frame to frame."""
    from ..cell_table import read_cells
    from ..dynamics.kymograph_files import cell_frames, cell_of_track
    from ..dynamics.kymographs import kymograph as make_kymograph

    table = read_cells(cells)
    name, number = _chosen_track(table, asked.image, asked.track)
    label_of = cell_of_track(table, name, number)
    pixels = pixels_of(table, name, asked.segmentation, asked.stains)
    chosen = chosen_markers(pixels.stains, asked.markers)
    if pixels.pixel_size_um is None or pixels.frame_interval_s is None:
        raise DataError(
            f"image {name} has no pixel size or no frame interval",
            "give them to unstained cells measure",
        )
    _check_times(table, name, number, pixels.frame_interval_s)
    skipped = asked.skip_min * 60 / pixels.frame_interval_s
    begin, end = min(label_of), max(label_of)
    label_of = {t: label for t, label in label_of.items() if begin + skipped <= t <= end - skipped}
    if not label_of:
        raise InputError(
            f"--skip-min {asked.skip_min:g} leaves nothing of {end - begin + 1} frames",
            "give fewer minutes or a longer track",
        )
    with Bar("frames") as bar:
        frames = cell_frames(
            label_of,
            pixels.labels,
            [pixels.stains[marker] for marker in chosen],
            background=_background(table, name, number, chosen),
            progress=bar,
        )
        made = make_kymograph(
            frames,
            chosen,
            pixel_size_um=pixels.pixel_size_um,
            frame_interval_s=pixels.frame_interval_s,
            settings=settings,
        )
    print(f"track {number} of {name}: {len(label_of)} frames, {len(made.position)} positions")
    return made, pixels.frame_interval_s


def _chosen_track(table: AnnData, image: str | None, track: int | None) -> tuple[str, int]:
    """The movie and the cell that are meant: the one seen in most frames."""
    from ..cell_table import need_columns

    need_columns(table, ("track",), "follow the cells: unstained cells track DIR")
    obs = table.obs[table.obs["track"] > 0].astype({"image": str})
    if obs.empty:
        raise DataError("no cell is followed", "follow them: unstained cells track DIR")
    known = sorted(obs["image"].unique())
    if image is not None and image not in known:
        raise DataError(f"no followed cell in image {image!r}", f"there are {', '.join(known)}")
    if image is None and track is not None and len(known) > 1:
        raise DataError(
            f"track {track} of {len(known)} movies", f"choose --image: {', '.join(known)}"
        )
    if image is not None:
        obs = obs[obs["image"] == image]
    if track is not None:
        return str(obs["image"].iloc[0]), track
    longest = obs.groupby(["image", "track"]).size().idxmax()
    return str(longest[0]), int(longest[1])


def _check_times(table: AnnData, name: str, track: int, interval_s: float) -> None:
    """Refuse frames that are not equally spaced: a kymograph has one step of time."""
    import numpy as np

    if "time_s" not in table.obs:
        return
    own = (table.obs["image"].astype(str) == name) & (table.obs["track"] == track)
    rows = table.obs.loc[own, ["frame", "time_s"]].sort_values("frame")
    pace = np.diff(rows["time_s"]) / np.diff(rows["frame"])
    pace = pace[np.isfinite(pace)]
    if pace.size and not np.allclose(pace, interval_s, rtol=0.01):
        raise DataError(
            f"frames of track {track} are {pace.min():g} to {pace.max():g} s apart, those of the "
            f"movie {interval_s:g} s",
            "kymographs need equal intervals: leave frames out, or measure the parts on their own",
        )


def pixels_of(table: AnnData, name: str, segmentation: Path | None, stains: Path | None) -> _Pixels:
    """Labels and stains as given, or where the table says that they are."""
    import pandas as pd

    from ..cells.segmentation_folder import read_segmentation
    from ..cells.stain_sources import stains_of
    from ..images.read import read_image

    if (segmentation is None) != (stains is None):
        raise InputError("--segmentation without --stains, or the reverse", "give both or none")
    if segmentation is not None and stains is not None:
        entries = [one for one in read_segmentation(segmentation) if one.image == name]
        if not entries:
            raise DataError(f"has no image {name}", "give the one measured", file=segmentation)
        one = entries[0]
        found = stains_of(entries, stains)[name].images
        return _Pixels(one.open_image, one.labels, found, one.pixel_size_um, one.frame_interval_s)
    sources = table.uns.get("unstained", {}).get("sources")
    rows: list[Any] = []
    if isinstance(sources, pd.DataFrame) and sources.columns.isin(_NAMED).sum() == len(_NAMED):
        rows = sources[sources["image"] == name].to_dict("records")
    if len(rows) != 1 or not rows[0]["stains"]:
        raise DataError(
            f"the table does not name labels and stains of image {name}",
            "give --segmentation DIR and --stains DIR",
        )
    row = rows[0]
    labels, images = read_image(row["labels"]), {}

    def labels_at(t: int) -> Any:
        if not 0 <= t < labels.shape[0]:
            raise DataError(
                f"has {count_of(labels.shape[0], 'frame')}, and the table a cell in frame {t}",
                "give the segmentation that the cells were measured with, --segmentation DIR",
                file=row["labels"],
            )
        return labels.plane(t)

    for entry in row["stains"].split("; "):
        marker, _, file = entry.partition("=")
        opened = read_image(file)
        images[marker] = opened if len(opened.channels) == 1 else opened.channel(marker)
    sizes = [float(row[key]) for key in ("pixel_size_um", "frame_interval_s")]
    pixel, interval = (size if size > 0 else None for size in sizes)
    return _Pixels(lambda: _label_free(row["path"], name), labels_at, images, pixel, interval)


def _label_free(path: str, name: str) -> Image:
    """The image that the table names, or the movie where that is a folder."""
    from ..cells.segmentation_sources import open_movie
    from ..images.read import read_image

    if not path:
        raise DataError(
            f"the table does not say which image {name} is",
            "give --segmentation DIR and --stains DIR",
        )
    return open_movie(path) or read_image(path)


def _background(
    table: AnnData, name: str, track: int, markers: list[str]
) -> dict[int, np.ndarray[Any, Any]] | None:
    """What was subtracted from each marker's pixels in the cell's frames."""
    from ..cell_table import values_of

    if "background" not in table.layers or not set(markers) <= set(table.var_names):
        return None
    own = ((table.obs["image"].astype(str) == name) & (table.obs["track"] == track)).to_numpy()
    levels = values_of(table, markers, "background")[own]
    return dict(zip(table.obs["frame"].to_numpy()[own].tolist(), levels, strict=True))


def chosen_markers(stains: dict[str, Image], markers: str | None) -> list[str]:
    """The markers that are asked for, all if none are."""
    names = listed(markers) or list(stains)
    unknown = [name for name in names if name not in stains]
    if unknown:
        raise InputError(f"no stain {', '.join(unknown)}", f"there are {', '.join(stains)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{', '.join(twice)} is named twice", "name each marker once")
    return names


def _pairs(markers: list[str], difference: str | None) -> list[tuple[str, str]]:
    names = markers[:2] if difference is None else listed(difference)
    if difference is not None and len(set(names)) != 2:
        raise InputError(f"--difference {difference}", "give two markers, as CD105,STRO-1")
    return [(names[0], names[1])] if len(names) == 2 else []


def _report_periods(made: Kymograph, frame_interval_s: float, out: Path, *, moving: bool) -> None:
    """Periods and their figure; `moving`: positions move with the outline."""
    import numpy as np
    import pandas as pd

    from ..dynamics.periods import WavePeriod, main_periods
    from ..figures.kymographs import wave_figure

    spectra, rows, shortest = {}, [], 0.0
    for marker, values in zip(made.markers, made.values, strict=True):
        try:
            found = main_periods(values, frame_interval_s=frame_interval_s, step_um=made.step_um)
        except DataError as error:
            print(f"note: {marker}: no periods: {error}")
            continue
        spectra[marker] = found.spectrum
        shortest = max(shortest, found.shortest_min)
        rows += [{"marker": marker, **peak._asdict()} for peak in found.peaks]
        for peak in found.peaks:
            if peak.significant:
                way = "standing" if peak.standing else f"{peak.velocity_um_per_min:+.2f} um/min"
                print(
                    f"{marker}: {peak.period_min:.0f} min and {peak.period_um:.0f} um, {way}, "
                    f"amplitude {peak.amplitude:.1%}, p {peak.p_value:.3g}"
                )
        if not any(peak.significant for peak in found.peaks):
            print(f"{marker}: no period to be believed")
    missing = int((~np.isfinite(made.values).any(axis=(0, 2))).sum())
    if missing and spectra:
        print(
            f"note: {missing} of {len(made.time_min)} frames are missing: periods below "
            f"{shortest:.3g} min are not looked for"
        )
    if moving and any(row["significant"] for row in rows):
        print(
            "note: an arm that stretches moves the profile, which looks like a wave: try "
            "--center body without --relative, and believe periods that cells share"
        )
    if spectra:
        table = pd.DataFrame(rows, columns=["marker", *WavePeriod._fields])
        write_csv(table, out / "periods.csv")
        figure = wave_figure(
            {marker: one.power for marker, one in spectra.items()},
            table,
            frequency_per_min={m: one.frequency_per_min for m, one in spectra.items()},
            wavenumber_per_um={m: one.wavenumber_per_um for m, one in spectra.items()},
        )
        save_both(figure, out, "waves")
