"""One way in for every file: a lazy `Image`, whatever the format."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, FileError, InputError
from .image import (
    LARGEST_PIXEL_UM,
    Array,
    Channel,
    Image,
    LazyArray,
    LazyPlanes,
    Planes,
    check_size,
    choose_field,
)

__all__ = [
    "SUFFIXES",
    "check_one_plane",
    "drop_ome",
    "fields_of",
    "name_of_source",
    "read_image",
    "read_labels",
    "relative_source",
    "split_joined",
    "split_selector",
    "stem_of",
]

_TIFF = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk")
_RASTER = (".png", ".jpg", ".jpeg")
_VENDOR = (".czi", ".nd2", ".lif")
SUFFIXES = (*_TIFF, *_RASTER, ".npy", ".zarr", *_VENDOR)
"""Endings of the files that can be read."""

_LOSSY_GREY = 2
"""Grey values by which the samples of an 8-bit grey pixel may differ after JPEG."""


@dataclass(frozen=True)
class Selector:
    """A path with what is selected inside it: ``PATH#field=2#z=3:6#DAPI``.

    `z` is (start, stop), planes start <= z < stop; `inside` the text after the path, its first
    ``#`` included.
    """

    path: Path
    field: int | None = None
    channel: str | None = None
    z: tuple[int, int] | None = None
    inside: str = ""


def split_selector(spec: str | Path) -> Selector:
    """Take ``PATH`` and what may follow it, ``#field=2``, ``#z=3``, ``#CHANNEL``, apart.

    An existing file whose own name contains ``#`` is found under its whole name.
    """
    pieces = str(spec).split("#")
    cuts = range(len(pieces), 0, -1)
    cut = next((i for i in cuts if Path("#".join(pieces[:i])).exists()), 1)
    name, parts = "#".join(pieces[:cut]), pieces[cut:]
    field = z = None
    channel: list[str] = []
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key == "field" and value.isdigit():
            field = int(value)
        elif equals and key == "z" and (given := re.fullmatch(r"(\d+)(?::(\d+))?", value)):
            start = int(given[1])
            z = (start, start + 1 if given[2] is None else int(given[2]))
        else:
            channel.append(part)  # the name of a channel may have a # too
    inside = "".join(f"#{part}" for part in parts)
    return Selector(Path(name), field, "#".join(channel) or None, z, inside)


def split_joined(joined: str) -> list[str]:
    """Paths that are joined by ``;``, each perhaps with ``#CHANNEL`` or ``#z=3``.

    A file whose own name has a ``;`` stays whole.
    """
    if ";" in joined:
        file = split_selector(joined).path
        # after the first mention of its name, as `Path` may have shortened what leads there
        if file.exists() and ";" not in joined.partition(file.name)[2]:
            return [joined]
    return [part.strip() for part in joined.split(";") if part.strip()]


def stem_of(path: Path) -> str:
    """The name of an image without its suffixes: a.ome.tif and a.png are ``a``."""
    return re.sub(r"(\.ome)?\.[A-Za-z0-9]+$", "", path.name) or path.name


def drop_ome(stem: str) -> str:
    """``a.ome``, the stem of ``a.ome.tif``, is ``a``; capitals do not matter."""
    return re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE)


def name_of_source(source: str) -> str:
    """What results of an image are called: ``a/plate_1.ome.tif#DAPI`` becomes ``plate_1_DAPI``.

    Of paths joined by ``;`` the first counts.
    """
    chosen = split_selector((split_joined(source) or [source])[0])
    parts = [stem_of(chosen.path)]
    if _is_field_of_plate(chosen.path):
        # plate.zarr/B/3/0: the folders within the plate belong to the name
        inside = [chosen.path.name]
        for parent in chosen.path.parents:
            inside.append(re.sub(r"(\.ome)?\.zarr$", "", parent.name))
            if parent.name.endswith(".zarr"):
                break
        parts = inside[::-1]
    parts += [] if chosen.field is None else [str(chosen.field)]
    parts += [] if chosen.z is None else [_z_name(*chosen.z)]
    parts += [] if chosen.channel is None else [chosen.channel]
    return "_".join(re.sub(r"[^\w.+-]", "_", part) for part in parts)


def _z_name(start: int, stop: int) -> str:
    return f"z{start}" if stop == start + 1 else f"z{start}-{stop}"


def _is_field_of_plate(path: Path) -> bool:
    return not path.name.endswith(".zarr") and any(p.name.endswith(".zarr") for p in path.parents)


def read_image(
    path: str | Path,
    *,
    pixel_size_um: float | None = None,
    frame_interval_s: float | None = None,
    channel_names: Sequence[str] | None = None,
    axes: str | None = None,
) -> Image:
    """Open an image file; pixels are read where they are asked for, in their own type.

    TIFF (OME, ImageJ, BigTIFF, pyramids), PNG, JPEG, OME-Zarr 0.4 and 0.5, NumPy ``.npy``;
    with the extra ``formats`` also CZI, ND2 and LIF. Grey that is stored as RGB becomes one
    channel; every block that is read later is checked to be grey too.

    Parameters
    ----------
    path : str or Path
        ``PATH#CHANNEL`` takes one channel, by name or position from 0; of a color image
        ``#R``, ``#G`` or ``#B``. ``PATH#z=6`` takes one plane of a stack, ``#z=3:9`` the
        planes 3 to 8, from 0. ``PATH#field=2`` takes one of several fields (see `fields_of`);
        all of them together: ``PATH#field=2#z=6#CHANNEL``. A field of a plate is a path:
        ``plate.zarr/B/3/0``.
    pixel_size_um, frame_interval_s : float, optional
        Micrometers and seconds, in place of what the file says.
    channel_names : sequence of str, optional
        In place of the names in the file.
    axes : str, optional
        Letters of ``TCZYX`` where the file does not name its axes. Without them the planes
        of a TIFF stack and of a three-axis ``.npy`` are Z, as in ImageJ.

    Returns
    -------
    Image
        Axes (T, C, Z, Y, X).

    Raises
    ------
    FileError
        Absent, empty, cut short, damaged or of an unknown type.
    DataError
        Real color, several fields, or axes that are not known.
    InputError
        A size, an interval or the names given are not usable.
    MissingExtra
        A vendor's format without the extra ``formats``.
    """
    chosen = split_selector(path)
    file = chosen.path
    if pixel_size_um is not None:
        check_size("pixel_size_um", pixel_size_um, LARGEST_PIXEL_UM)
    if frame_interval_s is not None:
        check_size("frame_interval_s", frame_interval_s)
    _check_there(file)
    image, color = _open(file, chosen.field, axes)
    channel = chosen.channel
    if color:
        image = _without_color(image, channel)
        if channel is not None and image.channels[0].name == channel.upper():
            channel = None  # taken already
    image = _plausible(image)
    if channel_names is not None:
        if isinstance(channel_names, str) or len(channel_names) != len(image.channels):
            raise InputError(
                f"{file}: {channel_names!r} does not name {len(image.channels)} channels",
                "give a list with one name for each channel",
            )
        named = zip(image.channels, channel_names, strict=True)
        image = replace(image, channels=tuple(replace(c, name=str(n)) for c, n in named))
    if pixel_size_um is not None:
        image = replace(image, pixel_size_um=float(pixel_size_um))
    if frame_interval_s is not None:
        image = replace(image, frame_interval_s=float(frame_interval_s))
    if channel is not None:
        image = image.channel(channel)
    return image if chosen.z is None else image.z_planes(*chosen.z)


def relative_source(path: str, home: Path) -> str:
    """A path and what is chosen inside it, as seen from a folder, with ``/``.

    Absolute on another drive of Windows.
    """
    chosen = split_selector(path)
    real = chosen.path.parent.resolve() / chosen.path.name  # links among folders break ".."
    try:
        return Path(os.path.relpath(real, home.resolve())).as_posix() + chosen.inside
    except ValueError:
        return real.as_posix() + chosen.inside


def check_one_plane(image: Image, path: str, what: str) -> None:
    """Refuse several channels or planes where `what` ("cells") are looked for in one.

    Raises
    ------
    DataError
        It has several.
    """
    if image.n_planes == 1:
        return
    names = ", ".join(channel.name for channel in image.channels)
    raise DataError(
        f"has {image.shape[1]} channels ({names}) and {image.shape[2]} planes in z; {what} are "
        "looked for in one",
        "choose a channel with --channel NAME or PATH#NAME, a plane with PATH#z=3; where the "
        "planes are times, save them as OME-TIFF with axis T or as a file each",
        file=path,
    )


def read_labels(path: str | Path) -> Array:
    """Read an image of labels: 0 is background, each object has a number.

    Parameters
    ----------
    path : str or Path
        As for `read_image`; an OME-Zarr image gives its labels where it has one set of them.

    Returns
    -------
    (Y, X) integer array

    Raises
    ------
    DataError
        More than one plane, or numbers that are not integers.
    """
    chosen = split_selector(path)
    _check_there(chosen.path)
    if chosen.path.is_dir():
        from .ome_zarr import find_labels

        path = find_labels(chosen.path)
    elif chosen.path.suffix.lower() == ".png":
        from .raster import read_palette_indices

        indices = read_palette_indices(chosen.path)
        if indices is not None:
            return indices
    image = read_image(path)
    if image.shape[:3] != (1, 1, 1):
        raise DataError(
            f"has shape {image.shape} (T, C, Z, Y, X)", "give one plane of labels", file=path
        )
    labels = image.plane()
    if labels.dtype.kind == "f":
        whole = labels.astype(np.int64)
        if not np.array_equal(whole, labels):
            raise DataError(
                "holds numbers that are not integers", "give an image of labels", file=path
            )
        return whole
    return labels


def fields_of(path: str | Path) -> list[str]:
    """Paths of the fields in a file or plate, each to be given to `read_image`.

    Parameters
    ----------
    path : str or Path
        A plate or well (OME-Zarr), a file with several positions (OME-TIFF, CZI, ND2, LIF),
        or any image, which is its own only field.

    Returns
    -------
    list of str
        In the order of the file; for a plate row by row.
    """
    file = split_selector(path).path
    _check_there(file)
    if file.is_dir():
        from .ome_zarr import zarr_fields

        return [str(field) for field in zarr_fields(file)]
    n_fields = _count_fields(file)
    return [str(file)] if n_fields == 1 else [f"{file}#field={i}" for i in range(n_fields)]


def _check_there(file: Path) -> None:
    if not file.exists():
        raise FileError("does not exist", "check the path", file=file)
    if file.is_file() and file.stat().st_size == 0:
        raise FileError("is empty (0 bytes)", "copy it again from its origin", file=file)


def _kind(file: Path) -> str:
    suffix = file.suffix.lower()
    if file.is_dir():  # no other type is a folder
        return "zarr"
    for kind, endings in (("tiff", _TIFF), ("raster", _RASTER), ("vendor", _VENDOR)):
        if suffix in endings:
            return kind
    if suffix == ".npy":
        return "npy"
    raise FileError(
        f"is of a type that is not read ({suffix or 'no ending'})",
        f"convert it to OME-TIFF or OME-Zarr; read are {', '.join(SUFFIXES)}",
        file=file,
    )


def _count_fields(file: Path) -> int:
    match _kind(file):
        case "tiff":
            from .tiff import tiff_fields

            return tiff_fields(file)
        case "vendor":
            from .vendor import vendor_fields

            return vendor_fields(file)
    return 1


def _open(file: Path, field: int | None, axes: str | None) -> tuple[Image, bool]:
    match _kind(file):
        case "tiff":
            from .tiff import open_tiff

            return open_tiff(file, field=field, axes=axes)
        case "vendor":
            from .vendor import open_vendor

            return open_vendor(file, field=field)
        case "zarr":
            from .ome_zarr import open_ome_zarr, zarr_fields

            fields = zarr_fields(file)
            first = fields[0] if fields else file
            return open_ome_zarr(fields[choose_field(field, len(fields), file, first)]), False
    choose_field(field, 1, file, file)
    if _kind(file) == "npy":
        from .raster import open_npy

        return open_npy(file, axes=axes)
    from .raster import open_raster

    return open_raster(file)


# Sizes -------------------------------------------------------------------------------------


def _plausible(image: Image) -> Image:
    """Sizes that cannot be true are unknown sizes, with a warning."""
    pixel, step, interval = image.pixel_size_um, image.z_step_um, image.frame_interval_s
    if pixel is not None and not (math.isfinite(pixel) and 0 < pixel <= LARGEST_PIXEL_UM):
        warnings.warn(
            f"{image.source}: the file gives a pixel size of {pixel:g} um, which cannot be; "
            "it is taken as unknown: give pixel_size_um",
            stacklevel=3,
        )
        pixel = None
    if interval is not None and not (math.isfinite(interval) and interval > 0):
        if interval != 0:  # 0 is what writers put where nothing was measured
            warnings.warn(
                f"{image.source}: the file gives a frame interval of {interval:g} s, which "
                "cannot be; it is taken as unknown: give frame_interval_s",
                stacklevel=3,
            )
        interval = None
    if step is not None and not (math.isfinite(step) and step > 0):
        step = None
    return replace(image, pixel_size_um=pixel, z_step_um=step, frame_interval_s=interval)


# Color -------------------------------------------------------------------------------------


class GreyPlanes(LazyPlanes):
    """Grey that is stored as red, green and blue, as one channel."""

    def __init__(self, data: LazyArray, source: Path | None) -> None:
        t, _, z, y, x = data.shape
        super().__init__((t, 1, z, y, x), data.dtype)
        self._data = data
        self._source = source

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        samples = np.asarray(self._data[t, :3, z, y, x])
        if samples.shape[0] < 3:  # grey and transparency
            return np.asarray(samples[0])
        spread = samples.max(0) - samples.min(0)
        allowed = _LOSSY_GREY if self.dtype == np.uint8 else 0
        if (spread > allowed).any():
            raise DataError(
                "is a color image",
                "export the grey values of each channel, or take one color: PATH#R, #G or #B; a "
                "movie must say its axes: save it as OME-TIFF with the axes TYX",
                file=self._source,
            )
        return np.asarray(samples[1])


def _without_color(image: Image, channel: str | None) -> Image:
    """One grey channel; or the color that was chosen by name."""
    names = ["R", "G", "B"] if image.shape[1] > 2 else ["C0"]
    if image.shape[1] > 4:
        raise DataError(
            "has several channels, each of them in color",
            "export the grey values of each channel",
            file=image.source,
        )
    if channel is not None and channel.upper() in names:
        i = names.index(channel.upper())
        return replace(
            image,
            data=Planes(image.data, [i]),
            channels=(Channel(names[i]),),
            levels=tuple(Planes(level, [i]) for level in image.levels),
        )
    grey = GreyPlanes(image.data, image.source)
    for block in _some_blocks(grey.shape):
        _ = grey[block]
    levels = tuple(GreyPlanes(level, image.source) for level in image.levels)
    return replace(image, data=grey, channels=(Channel("C0"),), levels=levels)


def _some_blocks(shape: tuple[int, ...]) -> list[tuple[int | slice, ...]]:
    """A 4 x 4 grid of blocks of 64 x 64 px on the first plane: enough to see a color early."""
    height, width = shape[-2:]
    tops = sorted({max(0, round(i * (height - 64) / 3)) for i in range(4)})
    lefts = sorted({max(0, round(i * (width - 64) / 3)) for i in range(4)})
    return [(0, 0, 0, slice(y, y + 64), slice(x, x + 64)) for y in tops for x in lefts]
