"""From outlined images, whether in files or in memory, to one table of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import OBS_COLUMNS, new_cells
from ..errors import DataError
from ..images.image import Image
from .lazy_plane import LazyPlane
from .measure import STATISTICS, FrameCells, MeasureSettings, measure_frame

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Measured", "MeasuredFrame", "Outlined", "measured_frames", "observations", "table_of"]


_LAYERS = STATISTICS[1:]


class Measured(NamedTuple):
    """A table of cells, and what the user should know about it."""

    cells: AnnData
    notes: tuple[str, ...]


class Outlined(NamedTuple):
    """One image or movie with its outlines, wherever they lie; every `Image` is T 1 1 Y X.

    Attributes
    ----------
    image : str
        Name, unique in the table.
    labels : Image
        Integers; 0 is background.
    stains, label_free : mapping of str to Image
        By marker; by channel.
    nuclei : Image or None
    pixel_size_um : float
    frame_interval_s : float or None
        None where not known.
    predicted : tuple of str
        Which of the stains a model predicted.
    path, labels_path, stain_paths : str
        As the table names its sources; empty where there is no file.
    """

    image: str
    labels: Image
    stains: Mapping[str, Image]
    label_free: Mapping[str, Image]
    nuclei: Image | None
    pixel_size_um: float
    frame_interval_s: float | None
    predicted: tuple[str, ...]
    path: str = ""
    labels_path: str = ""
    stain_paths: str = ""

    @property
    def frames(self) -> int:
        return self.labels.shape[0]


class MeasuredFrame(NamedTuple):
    """The cells of one frame; the first frame has time 0 whatever the interval."""

    image: str
    t: int
    time_s: float
    cells: FrameCells


def measured_frames(
    images: Sequence[Outlined],
    settings: MeasureSettings,
    notes: list[str],
    progress: Callable[[float], None] | None = None,
) -> list[MeasuredFrame]:
    """Measure the cells of all frames of all images, one frame in memory at a time.

    A frame without background (confluent) takes the median level of the image's other frames,
    which is added to `notes`.

    Raises
    ------
    DataError
        Something does not fit; no frame of an image shows background.
    """
    total = max(1, sum(one.frames for one in images))
    frames: list[MeasuredFrame] = []
    done = 0
    for one in images:
        of_image = []
        for t in range(one.frames):
            of_image.append(MeasuredFrame(one.image, t, _time_s(one, t), _cells(one, t, settings)))
            done += 1
            if progress is not None:
                progress(done / total)
        frames += _with_background(of_image, notes)
    return frames


def observations(frames: Sequence[MeasuredFrame]) -> pd.DataFrame:
    """`OBS_COLUMNS` of the cells of all frames; no cell is followed yet.

    Raises
    ------
    DataError
        No frame has a cell.
    """
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
    if not parts:
        raise DataError("no frame has a cell", "look at the labels")
    return pd.concat(parts, ignore_index=True)[list(OBS_COLUMNS)]


def table_of(
    obs: pd.DataFrame,
    conditions: pd.DataFrame | None,
    frames: Sequence[MeasuredFrame],
    images: Sequence[Outlined],
    settings: MeasureSettings,
    notes: list[str],
) -> Measured:
    """Put the table together; see `measure_segmentation`.

    Parameters
    ----------
    obs : (N,) DataFrame
        Of `observations`, with tracks.
    conditions : DataFrame, optional
        Column `image` and more, a row an image.
    frames, images, settings
        That were measured.
    notes : list of str
        So far.
    """
    if any(one.frames > 1 and one.frame_interval_s is None for one in images):
        notes.append(
            "the time between frames is not known: give --frame-interval (frame_interval_s)"
        )
    if conditions is not None:
        obs = obs.merge(conditions, on="image", how="left")
    obs = obs.assign(image=pd.Categorical(obs["image"], [one.image for one in images]))
    markers = list(dict.fromkeys(name for one in images for name in one.stains))
    table = _table(obs, frames, markers, notes)
    table.uns["unstained"] = _about(images, settings)
    if predicted := table.uns["unstained"]["predicted"]:
        notes.append(f"{', '.join(predicted)}: predicted by a model, not measured")
    return Measured(table, tuple(notes))


def _cells(one: Outlined, t: int, settings: MeasureSettings) -> FrameCells:
    try:
        return measure_frame(
            LazyPlane(one.labels.data, t),
            _planes(one.stains, t),
            one.pixel_size_um,
            settings,
            image=_planes(one.label_free, t),
            nuclei=None if one.nuclei is None else LazyPlane(one.nuclei.data, t),
        )
    except DataError as error:
        if error.file is not None:
            raise
        reason = f"{one.image}, frame {t}: {error.reason}"
        raise DataError(reason, error.remedy) from error


def _planes(images: Mapping[str, Image], t: int) -> dict[str, LazyPlane]:
    return {name: LazyPlane(image.data, t) for name, image in images.items()}


def _time_s(one: Outlined, t: int) -> float:
    """From the first frame, whose time is 0 whatever the interval."""
    if t == 0:
        return 0.0
    return float("nan") if one.frame_interval_s is None else t * one.frame_interval_s


def _with_background(frames: list[MeasuredFrame], notes: list[str]) -> list[MeasuredFrame]:
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
            "give its grey value as background (--background VALUE), or none where the stain has "
            "none, as a prediction of background-subtracted stains",
        )
    notes.append(
        f"{image}: no background between the cells of {len(lacking)} frames (from {lacking[0]} "
        "on); the level of its other frames is subtracted"
    )
    return [frame._replace(cells=frame.cells.with_background(levels)) for frame in frames]


def _table(
    obs: pd.DataFrame, frames: Sequence[MeasuredFrame], markers: Sequence[str], notes: list[str]
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


def _about(images: Sequence[Outlined], settings: MeasureSettings) -> dict[str, Any]:
    """What belongs to the table as a whole; ``uns["unstained"]``."""

    def common(values: Sequence[float | None]) -> float:
        known = set(values)
        only = known.pop() if len(known) == 1 else None
        return float("nan") if only is None else float(only)

    movies = [one.frame_interval_s for one in images if one.frames > 1]
    sources = pd.DataFrame(
        {
            "image": [one.image for one in images],
            "path": [one.path for one in images],
            "labels": [one.labels_path for one in images],
            "stains": [one.stain_paths for one in images],
            "frames": [one.frames for one in images],
            "pixel_size_um": [one.pixel_size_um for one in images],
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
        "predicted": list(dict.fromkeys(name for one in images for name in one.predicted)),
    }
