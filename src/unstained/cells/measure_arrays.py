"""From labels and stains in memory to the table of cells that `measure_files` makes of folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from ..cell_table import plain_name
from ..errors import DataError, InputError, count_of
from ..images.image import (
    LARGEST_PIXEL_UM,
    Array,
    Image,
    LazyPlanes,
    as_image,
    check_size,
)
from ..images.resample import SAME_SIZE
from .conditions import Condition, conditions_of, join_tracks
from .measure import MeasureSettings
from .measure_table import Measured, Outlined, measured_frames, observations, table_of
from .stain_sources import label_free_name
from .tracks import Tracked

__all__ = ["CellMovie", "measure_movies"]

Frames = Array | Sequence[Array] | Image
"""(Y, X), (T, Y, X), a sequence of T (Y, X) arrays, or an `Image` of one channel and plane in z."""

_SIZES = {
    "pixel_size_um": ("um per pixel", LARGEST_PIXEL_UM),
    "frame_interval_s": ("s per frame", np.inf),
}


@dataclass(frozen=True, eq=False)
class CellMovie:
    """An image or movie in memory whose cells are outlined, with all that is known of it.

    Labels, stains, label-free channels and nuclei are given as a (Y, X) array, a (T, Y, X) array,
    a sequence of T (Y, X) arrays, or an `images.Image` of one channel, which may be lazy; all of
    the same T, Y, X.

    Attributes
    ----------
    labels : int arrays
        Cell of each pixel; 0 is background. Of `CellModel.segment`, `segment_classical`,
        ``label_tiles(...).labels``, Cellpose or a person.
    stains : Image or mapping of str to arrays
        An `Image` whose channels are the markers, as ``panel.predict`` gives it, or stains by
        marker. Left out: shape and label-free channels alone are measured.
    image : Image or mapping of str to arrays
        Label-free channels, such as ``{"phase": phase}``; measured as the stains are. A single
        one without a name (``C0``) is called ``image``.
    nuclei : int arrays, optional
        Numbered in any way, one number a nucleus; 0 is none. For the shape.
    tracks : Tracked or "labels", optional
        Of `track_labels`; "labels" where a cell keeps its label over the frames, as in the images
        of trackers (mothers are not known then). None: cells are not followed.
    pixel_size_um, frame_interval_s : float, optional
        In place of what an `Image` among these says. The first must be known.
    name : str
        Unique among the images of a table, which spells it with ``-`` for what is no letter,
        digit or ``_ . + -``.
    conditions : mapping of str to text or number
        What holds for all cells: ``{"donor": "A", "passage": 5}``. None where it is not known.
    predicted : sequence of str
        Stains that a model predicted, where they are plain arrays; an `Image` says so itself.
    """

    labels: Frames = field(repr=False)
    stains: Image | Mapping[str, Frames] = field(default_factory=dict, repr=False)
    image: Image | Mapping[str, Frames] = field(default_factory=dict, repr=False)
    nuclei: Frames | None = field(default=None, repr=False)
    tracks: Tracked | Literal["labels"] | None = field(default=None, repr=False)
    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    name: str = "image"
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    predicted: Sequence[str] = ()


def measure_movies(
    movies: CellMovie | Sequence[CellMovie],
    settings: MeasureSettings | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Measured:
    """Measure the cells of all frames of images and movies in memory.

    The table is that of `measure_segmentation`, which `heterogeneity` and `dynamics` take; its
    ``uns["unstained"]["sources"]`` names no files. Several movies, such as wells, give one table,
    where each has its own name. So it goes on from a prediction of a movie::

        stains = panel.predict(phase)  # phase: an Image, with the size of pixels and the interval
        labels = [model.segment(phase.plane(t)) for t in range(phase.shape[0])]
        tracks = cells.track_labels(labels)
        movie = cells.CellMovie(labels, stains, phase, tracks=tracks, conditions={"donor": "A"})
        table, notes = cells.measure_movies(movie)

    Parameters
    ----------
    movies : CellMovie or sequence of CellMovie
    settings : MeasureSettings, optional
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    Measured
        ``cells``, the AnnData, and notes.

    Raises
    ------
    InputError
        Something is no image of labels or stains, the size of a pixel is not known, or two movies
        have one name.
    DataError
        Labels, stains and channels differ in size or frames, or in what they say of the size of
        their pixels; tracks are of other cells; conditions do not fit; no cell in any frame; no
        background in any.
    """
    settings = settings or MeasureSettings()
    given = [movies] if isinstance(movies, CellMovie) else list(movies)
    if not given or not all(isinstance(movie, CellMovie) for movie in given):
        kinds = dict.fromkeys(type(movie).__name__ for movie in given)
        raise InputError(
            f"movies are {', '.join(kinds) or 'none'}",
            "give one or more CellMovie(labels, stains, pixel_size_um=...)",
        )
    notes: list[str] = []
    images = [_outlined(movie, notes) for movie in given]
    names = [one.image for one in images]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{len(names)} movies, {twice[0]} more than once", "name each: name=...")
    conditions = conditions_of(
        {name: movie.conditions for name, movie in zip(names, given, strict=True)}
    )
    frames = measured_frames(images, settings, notes, progress)
    tracks = {name: movie.tracks for name, movie in zip(names, given, strict=True)}
    obs = _followed(observations(frames), tracks)
    return table_of(obs, conditions, frames, images, settings, notes)


def _outlined(movie: CellMovie, notes: list[str]) -> Outlined:
    """All as images of one shape, with the sizes that hold."""
    if not isinstance(movie.name, str):
        raise InputError(f"the name of a movie is {movie.name!r}", 'give text: name="1"')
    name = plain_name(movie.name)
    labels = _opened_labels(movie.labels, f"labels of {name}")
    nuclei = None if movie.nuclei is None else _opened_labels(movie.nuclei, f"nuclei of {name}")
    stains = _channels(movie.stains, f"stains of {name}")
    free = _channels(movie.image, f"label-free channels of {name}")
    if len(free) == 1:
        free = {label_free_name(channel): image for channel, image in free.items()}
    others = [*stains.items(), *free.items()] + ([] if nuclei is None else [("nuclei", nuclei)])
    for what, image in others:
        if image.shape != labels.shape:
            raise DataError(
                f"{what} of {name} has {_said(image)}, the labels {_said(labels)}",
                "give all on the pixels and frames of the labels",
            )
    _check_words(movie, list(stains))
    every = [labels, *(image for _, image in others)]
    pixel = _size(movie, "pixel_size_um", every, notes)
    if pixel is None:
        raise InputError(
            f"the pixel size of {name} is not known", "give pixel_size_um, micrometers"
        )
    interval = _size(movie, "frame_interval_s", every, notes)
    made = tuple(n for n, image in stains.items() if image.predicted or n in movie.predicted)
    return Outlined(name, labels, stains, free, nuclei, pixel, interval, made)


def _check_words(movie: CellMovie, stains: Sequence[str]) -> None:
    """Refuse tracks that are none, and predictions that are no stains."""
    tracks = movie.tracks
    if not (tracks is None or isinstance(tracks, Tracked) or _in_labels(tracks)):
        raise InputError(
            f"tracks of {movie.name} are of type {type(tracks).__name__}",
            'give what track_labels returns, or "labels" where a cell keeps its label',
        )
    if isinstance(movie.predicted, str):
        raise InputError(
            f"predicted of {movie.name} is {movie.predicted!r}",
            f"give a list: [{movie.predicted!r}]",
        )
    if unknown := [marker for marker in movie.predicted if marker not in stains]:
        raise InputError(
            f"predicted of {movie.name} names {', '.join(unknown)}",
            f"name some of its stains: {', '.join(stains) or 'there are none'}",
        )


def _in_labels(tracks: object) -> bool:
    return isinstance(tracks, str) and tracks == "labels"


def _opened_labels(frames: Frames, what: str) -> Image:
    image = _opened(frames, what)
    if image.dtype.kind not in "iu":
        raise InputError(
            f"{what} are {image.dtype}",
            "give integers, a number for each cell and 0 for the background; of a mask: "
            "scipy.ndimage.label",
        )
    return image


def _opened(frames: Frames, what: str) -> Image:
    """As a (T, 1, 1, Y, X) image; nothing is copied."""
    if isinstance(frames, Image):
        if frames.n_planes != 1:
            raise InputError(
                f"{what}: {frames.shape[1]} channels and {frames.shape[2]} planes in z",
                "give one: Image.channel, Image.z_planes",
            )
        return frames
    if isinstance(frames, list | tuple) and not hasattr(frames, "_fields"):
        planes = [np.asarray(plane) for plane in frames]
        shapes = list(dict.fromkeys(plane.shape for plane in planes))
        if len(shapes) != 1 or len(shapes[0]) != 2:
            raise InputError(
                f"{what}: {len(planes)} arrays of shape {', '.join(map(str, shapes[:4]))}",
                "give one (Y, X) array for each frame, all of one size",
            )
        opened = [as_image(plane, "YX") for plane in planes]
        return replace(opened[0], data=_Stack(planes))
    array = np.asarray(frames) if hasattr(frames, "shape") else np.zeros(())
    if array.ndim not in (2, 3):
        of_shape = f" of shape {array.shape}" if array.ndim else ""
        fields = (
            f"; of this one: its {', '.join(frames._fields)}" if hasattr(frames, "_fields") else ""
        )
        raise InputError(
            f"{what}: a {type(frames).__name__}{of_shape}",
            f"give a (Y, X) or (T, Y, X) array, or a list of (Y, X) arrays{fields}",
        )
    return as_image(array, "TYX"[-array.ndim :])


class _Stack(LazyPlanes):
    """(Y, X) arrays as frames."""

    def __init__(self, planes: Sequence[Array]) -> None:
        dtype = np.result_type(*(plane.dtype for plane in planes))
        super().__init__((len(planes), 1, 1, *planes[0].shape), dtype)
        self._frames = planes

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        return self._frames[t][y, x]


def _channels(of: Image | Mapping[str, Frames], what: str) -> dict[str, Image]:
    """By name, each (T, 1, 1, Y, X)."""
    if isinstance(of, Image):
        names = [channel.name for channel in of.channels]
        if len(set(names)) < len(names):
            raise DataError(f"{what}: channels {', '.join(names)}", "give each its own name")
        return {name: of.channels_at([i]) for i, name in enumerate(names)}
    if not isinstance(of, Mapping):
        raise InputError(
            f"{what}: a {type(of).__name__}",
            'give them by name, {"NAME": array}, or an Image with named channels',
        )
    if odd := [name for name in of if not isinstance(name, str)]:
        raise InputError(f"{what}: one is named {odd[0]!r}", "give text as names")
    return {name: _opened(frames, f"{what}, {name}") for name, frames in of.items()}


def _said(image: Image) -> str:
    """How many frames of which size."""
    frames, _, z, height, width = image.shape
    deep = f" of {z} planes" if z > 1 else ""
    return f"{count_of(frames, 'frame')}{deep} of {height} x {width} pixels"


def _size(movie: CellMovie, name: str, images: Sequence[Image], notes: list[str]) -> float | None:
    """The pixel size or interval that was given, else what an image says; None if none does."""
    unit, largest = _SIZES[name]
    given = getattr(movie, name)
    known = [size for image in images if (size := getattr(image, name)) is not None]
    if given is not None:
        check_size(name, given, largest)
        others = sorted({size for size in known if abs(given / size - 1) > SAME_SIZE})
        if others:
            said = ", ".join(f"{size:g}" for size in others)
            notes.append(
                f"{plain_name(movie.name)}: its images have {said} {unit}; {given:g} is taken, "
                "as given"
            )
        return float(given)
    if known and max(known) > (1 + SAME_SIZE) * min(known):
        raise DataError(
            f"images of {plain_name(movie.name)} have {min(known):g} and {max(known):g} {unit}",
            f"say which holds: {name}=...",
        )
    return known[0] if known else None


def _followed(
    obs: pd.DataFrame, tracks: Mapping[str, Tracked | Literal["labels"] | None]
) -> pd.DataFrame:
    """With track and parent of the cells of each movie that has tracks."""
    found = {name: one for name, one in tracks.items() if isinstance(one, Tracked)}
    if found:
        obs = join_tracks(
            obs,
            pd.concat([one.track_of.assign(image=name) for name, one in found.items()]),
            pd.concat([one.tracks.assign(image=name) for name, one in found.items()]),
        )
    same = obs["image"].isin([name for name, one in tracks.items() if _in_labels(one)])
    return obs.assign(track=obs["track"].where(~same, obs["label"]))
