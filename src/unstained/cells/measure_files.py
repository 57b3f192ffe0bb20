"""From a segmentation folder and its stains to one table of cells, frame by frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import OBS_COLUMNS, names_of, new_cells, write_cells
from ..errors import DataError, InputError, contents_of
from ..images.resample import SAME_SIZE
from .conditions import read_conditions, with_tracks
from .lazy_plane import LazyPlane
from .measure import STATISTICS, FrameCells, MeasureSettings, measure_frame
from .segmentation_folder import Segmented, read_segmentation
from .stain_sources import Channels, label_free, own_stains, stains_of

if TYPE_CHECKING:
    from anndata import AnnData

    from .bands import Bands
    from .familiar import Reference

__all__ = ["FileOptions", "Measured", "measure_folder", "measure_segmentation"]


_LAYERS = STATISTICS[1:]


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


class Measured(NamedTuple):
    """A table of cells, and what the user should know about it."""

    cells: AnnData
    notes: tuple[str, ...]


class _Frame(NamedTuple):
    image: str
    t: int
    time_s: float
    cells: FrameCells


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
    channels = {one.image: label_free(one) for one in images}
    for one in images:
        _add_own(stains, channels, one, options.channels)
    total = max(1, sum(one.frames for one in images))
    frames: list[_Frame] = []
    notes = _contradicted(segmented, options)
    done = 0
    for one in images:
        of_image = []
        for t in range(one.frames):
            cells = _measured(one, t, stains.get(one.image), channels[one.image], settings)
            of_image.append(_Frame(one.image, t, _time_s(one, t), cells))
            done += 1
            if progress is not None:
                progress(done / total)
        frames += _with_background(of_image, notes)
    if not sum(frame.cells.label.size for frame in frames):
        raise DataError("no frame has a cell", "look at the labels", file=folder)
    if any(one.frames > 1 and one.frame_interval_s is None for one in images):
        notes.append("the time between frames is not known: give --frame-interval")
    obs = with_tracks(_observations(frames), Path(folder))
    if conditions is not None:
        obs = obs.merge(conditions, on="image", how="left")
    obs["image"] = pd.Categorical(obs["image"], [one.image for one in images])
    markers = list(dict.fromkeys(name for of in stains.values() for name in of.images))
    table = _table(obs, frames, markers, notes)
    table.uns["unstained"] = _about(images, settings, stains)
    if predicted := table.uns["unstained"]["predicted"]:
        notes.append(f"{', '.join(predicted)}: predicted by a model, not measured")
    return Measured(table, tuple(notes))


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
            f"the pixel size of image {one.image} is not known", "give --pixel-size, micrometers"
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


def _add_own(
    stains: dict[str, Channels],
    channels: dict[str, Channels],
    one: Segmented,
    names: Sequence[str],
) -> None:
    """Put the image's own stains beside the others, and out of the label-free channels."""
    if not names:
        return
    own = own_stains(one, names)
    there = stains.setdefault(one.image, Channels({}, {}))
    twice = sorted(set(own.images) & set(there.images))
    if twice:
        raise DataError(
            f"image {one.image} has two stains {twice[0]}", "leave it out of --channels"
        )
    there.images.update(own.images)
    there.files.update(own.files)
    for name in set(own.images) & set(channels[one.image].images):
        del channels[one.image].images[name]


def _measured(
    one: Segmented,
    t: int,
    stains: Channels | None,
    channels: Channels,
    settings: MeasureSettings,
) -> FrameCells:
    nuclei = one.nuclei_image
    return measure_frame(
        LazyPlane(one.labels_image.data, t),
        {} if stains is None else stains.planes(t),
        one.pixel_size_um or 0.0,  # `_sized` refused None
        settings,
        image=channels.planes(t),
        nuclei=None if nuclei is None else LazyPlane(nuclei.data, t),
    )


def _time_s(one: Segmented, t: int) -> float:
    """From the first frame, whose time is 0 whatever the interval."""
    if t == 0:
        return 0.0
    return float("nan") if one.frame_interval_s is None else t * one.frame_interval_s


def _with_background(frames: list[_Frame], notes: list[str]) -> list[_Frame]:
    """Frames of one image; where one shows no background, the median level of the others."""
    some = [frame for frame in frames if frame.cells.label.size]
    lacking = [frame.t for frame in some if np.isnan(frame.cells.background).any()]
    if not lacking:
        return frames
    image = some[0].image
    levels = np.array(
        [
            np.median(known[np.isfinite(known)]) if np.isfinite(known).any() else np.nan
            for known in np.concatenate([frame.cells.background for frame in some]).T
        ]
    )
    if np.isnan(levels).any():
        raise DataError(
            f"the cells of {image} leave no background to look at",
            "give its grey value as --background VALUE, or --background none where the stain "
            "has none, as a prediction of background-subtracted stains",
        )
    notes.append(
        f"{image}: no background between the cells of {len(lacking)} frames (from {lacking[0]} "
        "on); the level of its other frames is subtracted"
    )
    return [frame._replace(cells=frame.cells.with_background(levels)) for frame in frames]


def _observations(frames: Sequence[_Frame]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "image": image,
                "frame": t,
                "time_s": time_s,
                "label": cells.label,
                "track": 0,
                "parent": 0,
                "y_um": cells.y_um,
                "x_um": cells.x_um,
                "border": cells.border,
                "neighbors": cells.neighbors,
            }
        )
        for image, t, time_s, cells in frames
        if cells.label.size
    ]
    return pd.concat(parts, ignore_index=True)[list(OBS_COLUMNS)]


def _table(
    obs: pd.DataFrame, frames: Sequence[_Frame], markers: Sequence[str], notes: list[str]
) -> AnnData:
    some = [frame for frame in frames if frame.cells.label.size]
    channels = list(dict.fromkeys(name for frame in some for name in frame.cells.names))
    free = [name for name in channels if name not in markers]
    names = [*markers, *free]
    features = list(some[0].cells.shape.columns)
    width = len(names) + len(features)
    value = np.full((len(obs), width, len(STATISTICS)), np.nan, np.float32)
    level = np.full((len(obs), width), np.nan, np.float32)
    begin = 0
    for _, _, _, cells in some:
        rows = slice(begin, begin + cells.label.size)
        begin = rows.stop
        at = [names.index(name) for name in cells.names]
        value[rows, at] = cells.values
        level[rows, at] = cells.background
        value[rows, len(names) :, 0] = cells.shape[features].to_numpy()
    lacking = [name for i, name in enumerate(names) if np.isnan(value[:, i, 0]).any()]
    if lacking:
        notes.append(f"some cells have no {', '.join(lacking)}: the image lacks it there")
    columns = [*names, *features]
    var = pd.DataFrame(
        {
            "kind": ["marker"] * len(markers) + ["image"] * len(free) + ["shape"] * len(features),
            "unit": ["grey"] * len(names) + [_unit(name) for name in features],
        },
        index=pd.Index(columns),
    )
    layers = {name: value[..., i] for i, name in enumerate(_LAYERS, 1)}
    return new_cells(
        obs, pd.DataFrame(value[..., 0], columns=columns), var, {**layers, "background": level}
    )


def _unit(feature: str) -> str:
    return next((unit for unit in ("um2", "um") if feature.endswith(f"_{unit}")), "1")


def _about(
    images: Sequence[Segmented], settings: MeasureSettings, stains: dict[str, Channels]
) -> dict[str, Any]:
    """What belongs to the table as a whole; ``uns["unstained"]``."""

    def common(values: Sequence[float | None]) -> float:
        known = set(values)
        only = known.pop() if len(known) == 1 else None
        return float("nan") if only is None else float(only)

    movies = [one.frame_interval_s for one in images if one.frames > 1]
    sources = pd.DataFrame(
        {
            "image": [one.image for one in images],
            "path": ["" if one.path is None else one.image_path for one in images],
            "labels": [str(one.labels_path.resolve()) for one in images],
            "stains": [
                "; ".join(f"{name}={file}" for name, file in stains[one.image].files.items())
                if one.image in stains
                else ""
                for one in images
            ],
            "frames": [one.frames for one in images],
            "pixel_size_um": [common([one.pixel_size_um]) for one in images],
            "frame_interval_s": [common([one.frame_interval_s]) for one in images],
        }
    )
    return {
        "version": version("unstained"),
        "pixel_size_um": common([one.pixel_size_um for one in images]),
        "frame_interval_s": common(movies),
        "neighbor_um": settings.neighbor_um,
        "settings": asdict(settings),
        "sources": sources,
        "predicted": _predicted(stains),
    }


def _predicted(stains: dict[str, Channels]) -> list[str]:
    """Markers of which some image is a prediction, as far as the files tell."""
    made = [(name, image) for of in stains.values() for name, image in of.images.items()]
    return list(dict.fromkeys(name for name, image in made if image.predicted))
