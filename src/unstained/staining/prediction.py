"""From label-free images of any size to stains in their own units, on the pixels they came on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import FileError, InputError, refuse_name
from ..images.folders import images_in, is_zarr
from ..images.image import Array, Image, LazyArray, LazyPlanes, as_image
from ..images.ome_zarr_writer import Version, create_ome_zarr
from ..images.pyramid import block_mean
from ..images.read import (
    SUFFIXES,
    fields_of,
    name_of_source,
    read_image,
    split_joined,
    split_selector,
)
from ..images.write import write_png
from .predict_plan import Estimate, Grid, tile_bytes
from .predictor import Notify, PredictOptions, Predictor, Progress

if TYPE_CHECKING:
    from .panel import Panel

__all__ = [
    "Estimate",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "composite",
    "estimate",
    "open_planes",
    "predict",
    "predict_files",
]

Existing = Literal["refuse", "keep", "replace"]

_LOG = logging.getLogger("unstained")
_COMPOSITE_PX = 2048
_CHUNK_PX = 512


@dataclass(frozen=True)
class Prediction:
    """What `predict_files` left for one image.

    Attributes
    ----------
    source : str
        The image as it was given.
    zarr, composite : Path
        Multi-channel OME-Zarr; PNG.
    """

    source: str
    zarr: Path
    composite: Path


def predict(
    panel: Panel,
    image: Image | Array,
    options: PredictOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Image:
    """Predict the stains of one image or movie, in memory.

    Parameters
    ----------
    panel : Panel
        The model.
    image : Image or array
        Label-free; an array is (Y, X), (P, Y, X), (T, P, Y, X) or (T, C, Z, Y, X). Grey values
        as they come from the camera.
    options : PredictOptions, optional
    progress : callable, optional
        Called with the share done.
    notify : callable, optional
        Called with what the user should know before it starts: time and memory, resampling.

    Returns
    -------
    Image
        (T, M, 1, Y, X) in the units of the training stains, one channel a marker, on the pixels
        of `image`.

    Raises
    ------
    InputError
        Planes do not fit, or the pixel size is needed and not known.
    DataError
        The image is constant or not finite.
    MissingExtra
        The engine asked for is not installed.
    """
    return Predictor(panel, options, notify=notify)(image, progress=progress)


def estimate(panel: Panel, shape: Sequence[int], options: PredictOptions | None = None) -> Estimate:
    """Time and memory for an image of `shape`, measured on one tile of noise.

    Parameters
    ----------
    panel : Panel
    shape : sequence of int
        (Y, X) or (T, Y, X), in pixels of the model.
    options : PredictOptions, optional

    Raises
    ------
    InputError
        The shape has other axes, or one of no pixels.
    """
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise InputError(f"shape is {tuple(shape)}", "give (Y, X) or (T, Y, X), 1 or more each way")
    frames, y, x = (1, *shape) if len(shape) == 2 else tuple(shape)
    predictor = Predictor(panel, options, notify=_LOG.info)
    grid = Grid((y, x))
    side = predictor.side(grid)
    tiles = grid.tiles(panel, side)
    # around a bright background, by which some panels divide
    noise = np.random.default_rng(0).normal(1000, 100, (panel.planes, *tiles[0].outer_shape))
    one = predictor.prepared(as_image(noise.astype(np.float32), "CYX"), n_tiles=len(tiles) * frames)
    return replace(one, memory_bytes=tile_bytes(panel, grid, side), tile=side)


def predict_files(
    panels: Panel | Sequence[Panel],
    paths: Sequence[str | Path],
    out_dir: str | Path,
    options: PredictOptions | None = None,
    *,
    existing: Existing = "refuse",
    version: Version = "0.5",
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> list[Prediction]:
    """Predict files and folders of any size into ``NAME.ome.zarr`` and ``NAME.png``.

    Memory depends on the tile, not on the image. A file appears when it is complete.

    Parameters
    ----------
    panels : Panel or sequence of Panel
        Several are joined.
    paths : sequence of str or Path
        Image files as `read_image` takes them, several joined by ``;`` where their planes
        belong together, or folders, of which every image is taken.
    out_dir : str or Path
        Made where it is absent.
    existing : {"refuse", "keep", "replace"}
        Where an image has a prediction in `out_dir`: raise before anything is predicted; leave
        it as it is, to go on after a break, if the same model made it; predict it anew.
    version : {"0.5", "0.4"}
        Of OME-Zarr.
    options, progress, notify
        As in `predict`; `progress` counts all images.

    Returns
    -------
    list of Prediction
        One for each image that was predicted, in order.

    Raises
    ------
    InputError
        No image, two of one name, or as in `predict`.
    FileError
        A prediction exists, or is of another model; an image cannot be read, or a result not be
        written.
    """
    from .panel import Panel

    refuse_name(panels, "a model", "Panel.load({})")
    refuse_name(paths, "a list of files", "[{}]")
    panel = panels if isinstance(panels, Panel) else Panel.join(list(panels))
    sources = list(_sources(paths))
    targets = dict(zip(_targets(sources, Path(out_dir)), sources, strict=True))
    todo = _left(targets, existing)
    tell = notify or _LOG.info
    if len(todo) < len(sources):
        tell(f"{len(sources) - len(todo)} of {len(sources)} images have a prediction already")
    predictor = Predictor(panel, options, notify=tell)
    for target in targets.keys() - todo.keys():
        _check_same(target, predictor.about)
    # every image is opened and checked before the first is computed
    images = [predictor.checked(open_planes(source)) for source in todo.values()]
    done = []
    for i, ((target, source), image) in enumerate(zip(todo.items(), images, strict=True)):

        def share(part: float, i: int = i) -> None:
            if progress is not None:
                progress((i + part) / len(todo))

        picture = _picture(target)
        with create_ome_zarr(
            target,
            predictor.shape_of(image),
            predictor.options.dtype,
            predictor.channels,
            image.pixel_size_um,
            frame_interval_s=image.frame_interval_s,
            version=version,
            chunk=_CHUNK_PX,
            overwrite=True,
            about=predictor.about,
        ) as sink:
            predictor.run(image, sink, progress=share, align=_CHUNK_PX)
        write_png(composite(image, read_image(target)), picture)
        done.append(Prediction(str(source), target, picture))
    return done


def composite(image: Image, stains: Image) -> Array:
    """The first frame: stains in their colors over the first label-free plane.

    It is halved until no side is longer than 2048 pixels.

    Parameters
    ----------
    image, stains : Image
        Of one size; `stains` with its pyramid, if it has one.

    Returns
    -------
    (Y, X, 3) uint8 array
    """
    from ..figures import blend

    factor = 1
    while max(image.shape[-2:]) > _COMPOSITE_PX * factor:
        factor *= 2
    levels = [stains.data, *stains.levels]
    height = -(-stains.shape[3] // factor)
    stored = next((level for level in levels if level.shape[3] == height), None)
    planes = {
        channel.name: np.asarray(stored[0, c, 0])
        if stored is not None
        else _shrunk(stains.data, c, factor)
        for c, channel in enumerate(stains.channels)
    }
    colors = {channel.name: channel.color for channel in stains.channels if channel.color}
    return blend(_shrunk(image.data, 0, factor), planes, colors)


def open_planes(source: str | Path) -> Image:
    """Open one image, or several joined by ``;`` as the channels of one.

    Raises
    ------
    InputError
        The joined images differ in frames or size.
    """
    images = [read_image(part) for part in split_joined(str(source))]
    if not images:
        raise InputError(f"{source!r} names no image", "give a path")
    first = images[0]
    if len(images) == 1:
        return first
    if len({(*image.shape[:1], *image.shape[2:]) for image in images}) > 1:
        raise InputError(
            f"{source} joins images of shapes {[image.shape for image in images]}",
            "join planes of one field: equal frames, planes, rows and columns",
        )
    return replace(
        first,
        data=_Joined([image.data for image in images]),
        channels=tuple(channel for image in images for channel in image.channels),
        levels=(),
    )


class _Joined(LazyPlanes):
    """The channels of several arrays behind one another."""

    def __init__(self, arrays: Sequence[LazyArray]) -> None:
        t, _, z, y, x = arrays[0].shape
        self._planes = [(array, c) for array in arrays for c in range(array.shape[1])]
        dtype = np.result_type(*(array.dtype for array in arrays))
        super().__init__((t, len(self._planes), z, y, x), dtype)

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        array, channel = self._planes[c]
        return np.asarray(array[t, channel, z, y, x])


def _sources(paths: Iterable[str | Path]) -> Iterable[str]:
    """Each image that the paths name; folders and plates are opened."""
    for path in paths:
        if len(split_joined(str(path))) > 1:
            yield str(path)
            continue
        chosen = split_selector(path)
        folder = chosen.path
        if folder.is_dir() and not is_zarr(folder):
            inside = images_in(folder)
            if not inside:
                raise FileError(
                    "holds no image", f"images end in {', '.join(SUFFIXES)}", file=folder
                )
            yield from _sources(f"{file}{chosen.inside}" for file in inside)
        elif chosen.field is None:
            yield from (field + chosen.inside for field in fields_of(folder))
        else:
            yield str(path)


def _targets(sources: Sequence[str], out_dir: Path) -> list[Path]:
    names = [name_of_source(source) for source in sources]
    # Windows and macOS do not tell a.ome.zarr from A.ome.zarr: one would replace the other
    count = Counter(name.casefold() for name in names)
    twice = sorted({name for name in names if count[name.casefold()] > 1})
    if not names:
        raise InputError("no image was given", "name files or folders")
    if twice:
        raise InputError(
            f"several images are called {', '.join(twice)}",
            "predict them into different folders, one call each",
        )
    targets = [out_dir / f"{name}.ome.zarr" for name in names]
    written = [path for target in targets for path in (target, _picture(target))]
    replaced = {_identity(path) for path in written if path.exists()}
    for part in (part for source in sources for part in split_joined(source)):
        path = split_selector(part).path
        if path.exists() and _identity(path) in replaced:
            raise InputError(
                f"the prediction would replace the image {part}", "choose another folder (--out)"
            )
    return targets


def _left(sources: Mapping[Path, str], existing: Existing) -> dict[Path, str]:
    """What is to be predicted: sources by their targets."""
    pictures = {target: _picture(target) for target in sources}
    for target, picture in pictures.items():
        for path in (target, picture):
            # the picture comes last: without its prediction it is not ours
            mine = existing == "replace" or (existing == "keep" and target.exists())
            if path.exists() and not mine:
                raise FileError(
                    "exists already",
                    "choose another folder, or allow it: existing='replace' (--overwrite), or "
                    "existing='keep' to go on after a break (--resume)",
                    file=path,
                )
    if existing == "replace":
        return dict(sources)
    return {t: s for t, s in sources.items() if not (t.exists() and pictures[t].exists())}


def _check_same(target: Path, about: Mapping[str, Any]) -> None:
    """Refuse to go on beside predictions of another model, which no one could tell apart."""
    there = read_image(target).about
    for key, what in (("predicted_by", "by another model"), ("options", "with other options")):
        if there.get(key) != about[key]:
            raise FileError(
                f"was predicted {what}" if key in there else "does not say what predicted it",
                "choose another folder, or predict it anew: existing='replace' (--overwrite)",
                file=target,
            )


def _identity(path: Path) -> tuple[int, int]:
    """Equal for two names of one file, as ``a.png`` and ``a.PNG`` are on Windows and macOS."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _picture(target: Path) -> Path:
    return target.with_name(target.name.removesuffix(".ome.zarr") + ".png")


def _shrunk(data: LazyArray, channel: int, factor: int) -> Array:
    """The first plane of a channel as block means, read block by block; (Y, X) float32."""
    height, width = data.shape[-2:]
    out = np.empty((-(-height // factor), -(-width // factor)), np.float32)
    step = max(1, 1024 // factor) * factor
    for y in range(0, height, step):
        for x in range(0, width, step):
            block = np.asarray(data[0, channel, 0, y : y + step, x : x + step])
            small = block_mean(block.astype(np.float32), factor)
            top, left = y // factor, x // factor
            out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out
