"""From a segmentation folder and its stains to one table of cells, frame by frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cell_table import names_of, write_cells
from ..errors import DataError, InputError, contents_of
from ..images.resample import SAME_SIZE
from ..settings import check_settings
from .conditions import read_conditions, with_tracks
from .measure import MeasureSettings
from .measure_table import Measured, Outlined, measured_frames, observations, table_of
from .segmentation_folder import Segmented, read_segmentation
from .stain_sources import Channels, label_free, own_stains, stains_of

if TYPE_CHECKING:
    import pandas as pd

    from .bands import Bands
    from .familiar import Reference

__all__ = ["FileOptions", "measure_folder", "measure_segmentation"]


@dataclass(frozen=True)
class FileOptions:
    """What goes into a table of cells beside the outlines.

    Attributes
    ----------
    stains : path-like, optional
        Folder or manifest; see `stain_sources.stains_of`.
    channels : sequence of str
        Channels of the segmented files themselves that are stains.
    conditions : path-like, optional
        CSV with a column `image` (name in the folder, or file name) and one for each condition.
    pixel_size_um, frame_interval_s : float, optional
        In place of what the folder says.
    bands, reference : path-like, optional
        JSON of ``unstained cells agree``: what error the predicted totals have, and what kind of
        cells that was seen on.
    """

    stains: str | os.PathLike[str] | None = None
    channels: Sequence[str] = ()
    conditions: str | os.PathLike[str] | None = None
    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    bands: str | os.PathLike[str] | None = None
    reference: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        check_settings(self, positive=("pixel_size_um", "frame_interval_s"))


def measure_folder(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: MeasureSettings | None = None,
    options: FileOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Measured:
    """`measure_segmentation`, written to ``.h5ad``.

    Where there is a reference, cells outside of it are flagged in `outside` and their markers are
    NaN; where there are bands, the layers low and high hold them.

    Raises
    ------
    InputError
        `out` does not end in ``.h5ad``.
    DataError
        Bands or reference were made of cells measured with another background, or bands with
        another pixel size.
    """
    from .bands import Bands, apply_bands
    from .familiar import Reference, flag_strange

    chosen = options or FileOptions()
    if Path(out).suffix != ".h5ad":
        raise InputError(f"--out {out}", "give a name that ends in .h5ad")
    # read first: what is wrong with them shows before hours of measuring
    bands = None if chosen.bands is None else Bands.read(chosen.bands)
    reference = None if chosen.reference is None else Reference.read(chosen.reference)
    doubts = _doubts(folder, settings or MeasureSettings(), chosen, bands, reference)
    cells, notes = measure_segmentation(folder, settings, chosen, progress=progress)
    notes += doubts
    if reference is not None and chosen.reference is not None:
        with contents_of(chosen.reference):
            cells = flag_strange(cells, reference)
        notes += (_strange(cells.obs, reference),)
    if bands is not None and chosen.bands is not None:
        with contents_of(chosen.bands):
            cells = apply_bands(cells, bands)
        notes += bands.notes(names_of(cells, "marker"))
    write_cells(cells, out)
    return Measured(cells, notes)


def measure_segmentation(
    folder: str | os.PathLike[str],
    settings: MeasureSettings | None = None,
    options: FileOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Measured:
    """Measure the cells of all images and frames of a segmentation folder.

    One frame is in memory at a time, or a part of it where it is large. Tracks and parents come
    from ``track_of.csv`` and ``tracks.csv``, where there are some. A marker that an image lacks
    is NaN there. A frame without background (confluent) takes the median level of the image's
    other frames.

    Parameters
    ----------
    folder : path-like
        Of ``unstained cells segment`` or ``outline``.
    settings : MeasureSettings, optional
    options : FileOptions, optional
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    Measured
        ``X`` in grey values times pixels (markers, channels) or the feature's unit; the layer
        `background` has the level that was subtracted from each pixel. ``uns["unstained"]`` has
        version, pixel_size_um and frame_interval_s (NaN where images differ or it is not known),
        neighbor_um, the settings, a table of `sources`, and which markers were `predicted`.

    Raises
    ------
    FileError, DataError
        Something is absent or does not fit; no cell in any frame; no background in any.
    InputError
        The size of a pixel is not known.
    """
    settings, options = settings or MeasureSettings(), options or FileOptions()
    segmented = list(read_segmentation(folder))
    images = [_sized(one, options) for one in segmented]
    conditions = None if options.conditions is None else read_conditions(options.conditions, images)
    stains = {} if options.stains is None else stains_of(images, Path(options.stains))
    outlined = [
        _outlined(one, stains.get(one.image, Channels({}, {})), options.channels) for one in images
    ]
    notes = _contradicted(segmented, options)
    frames = measured_frames(outlined, settings, notes, progress)
    with contents_of(folder):
        obs = observations(frames)
    obs = with_tracks(obs, Path(folder))
    return table_of(obs, conditions, frames, outlined, settings, notes)


def _doubts(
    folder: str | os.PathLike[str],
    settings: MeasureSettings,
    options: FileOptions,
    bands: Bands | None,
    reference: Reference | None,
) -> tuple[str, ...]:
    """Refuse what was made of cells measured in another way, before these are measured."""
    from .measuring import Measuring, check_measuring

    if bands is None and reference is None:
        return ()
    images = [_sized(one, options) for one in read_segmentation(folder)]
    now = Measuring.by(settings, [one.pixel_size_um or 0.0 for one in images])
    doubts: tuple[str, ...] = ()
    if bands is not None and options.bands is not None:
        with contents_of(options.bands):
            doubts += check_measuring(bands.measured, now, "the bands")
    if reference is not None and options.reference is not None:
        with contents_of(options.reference):
            doubts += reference.check(now)
    return doubts


def _strange(obs: pd.DataFrame, reference: Reference) -> str:
    n, unknown = int(obs["outside"].sum()), int(obs["strangeness"].isna().sum())
    lack = f", {unknown} of them for want of a feature that it looks at" if unknown else ""
    return (
        f"{n} of {len(obs)} cells lie outside of the reference ({reference.cells}){lack}: "
        "flagged as outside, their markers are not guessed"
    )


def _sized(one: Segmented, options: FileOptions) -> Segmented:
    """With the sizes that were given, which must be known from here on."""
    pixel, interval = options.pixel_size_um, options.frame_interval_s
    for name, value in (("pixel size", pixel), ("frame interval", interval)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"{name} {value}", "give a number above 0")
    if pixel is not None:
        one = replace(one, pixel_size_um=pixel)
    if interval is not None:
        one = replace(one, frame_interval_s=interval)
    if one.pixel_size_um is None:
        raise InputError(
            f"the pixel size of image {one.image} is not known", "give pixel_size_um (--pixel-size)"
        )
    return one


def _contradicted(segmented: Sequence[Segmented], options: FileOptions) -> list[str]:
    """Notes on sizes that were given where the segmentation has others."""
    notes = []
    for what, given, known in (
        ("um per pixel", options.pixel_size_um, {one.pixel_size_um for one in segmented}),
        (
            "s from frame to frame",
            options.frame_interval_s,
            {o.frame_interval_s for o in segmented},
        ),
    ):
        others = sorted(v for v in known if v and given and abs(given / v - 1) > SAME_SIZE)
        if others:
            said = ", ".join(f"{v:g}" for v in others)
            notes.append(
                f"the cells were outlined with {said} {what}; {given:g} is taken, as given"
            )
    return notes


def _outlined(one: Segmented, stains: Channels, own: Sequence[str]) -> Outlined:
    """With its stains and the image's own ones, which are none of the label-free channels."""
    of_image = own_stains(one, own) if own else Channels({}, {})
    twice = sorted(set(of_image.images) & set(stains.images))
    if twice:
        raise DataError(
            f"image {one.image} has two stains {twice[0]}", "leave it out of --channels"
        )
    images, files = stains.images | of_image.images, stains.files | of_image.files
    free = label_free(one)
    return Outlined(
        one.image,
        one.labels_image,
        images,
        {name: image for name, image in free.items() if name not in of_image.images},
        one.nuclei_image,
        one.pixel_size_um or 0.0,  # `_sized` refused None
        one.frame_interval_s,
        tuple(name for name, image in images.items() if image.predicted),
        "" if one.path is None else one.image_path,
        str(one.labels_path.resolve()),
        "; ".join(f"{name}={file}" for name, file in files.items()),
    )
