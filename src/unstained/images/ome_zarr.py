"""Reading OME-Zarr 0.4 and 0.5: images, plates and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import DataError, FileError
from .image import NOTE, Array, Channel, Image, LazyPlanes
from .tiff_metadata import micrometers, seconds

__all__ = ["find_labels", "open_ome_zarr", "zarr_fields"]

_DAMAGED = "copy it again from its origin, or write it again"


class ZarrPlanes(LazyPlanes):
    """A zarr array with some of the axes t, c, z and with y, x at the end."""

    def __init__(self, array: zarr.Array[Any], axes: str, source: Path) -> None:
        size = dict(zip(axes, array.shape, strict=True))
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "buif":
            raise DataError(f"has pixels of type {dtype}", "save numbers", file=source)
        native = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
        super().__init__(tuple(size.get(axis, 1) for axis in "tczyx"), native)
        self._array = array
        self._axes = axes
        self._source = source

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        at: dict[str, int | slice] = {"t": t, "c": c, "z": z, "y": y, "x": x}
        try:
            block = self._array[tuple(at[axis] for axis in self._axes)]
        except (RuntimeError, ValueError, OSError) as error:
            raise FileError(f"a chunk cannot be read ({error})", _DAMAGED, file=self._source) from (
                error
            )
        return np.asarray(block).astype(self.dtype, copy=False)


def open_ome_zarr(path: Path) -> Image:
    """Open one OME-Zarr image (or one set of labels), lazily, with its pyramid.

    Raises
    ------
    FileError
        Not OME-Zarr, or damaged.
    DataError
        Axes that are not usable.
    """
    group = _group(path)
    metadata = _ome(group)
    if not metadata.get("multiscales"):
        raise FileError(
            "is a folder without an OME-Zarr image", "give the folder of the image", file=path
        )
    try:
        return _image(group, metadata, path)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise FileError(
            f"has OME-Zarr metadata that cannot be read ({error!r})", _DAMAGED, file=path
        ) from error


def zarr_fields(path: Path) -> list[Path]:
    """Folders of the images in a plate, a well, a bioformats2raw collection, or `path` itself.

    Raises
    ------
    FileError
        None of these, or an image that the plate lists is absent.
    """
    group = _group(path)
    metadata = _ome(group)
    if "plate" in metadata:
        wells = [path / str(well["path"]) for well in metadata["plate"].get("wells", [])]
        return [field for well in wells for field in zarr_fields(well)]
    if "well" in metadata:
        return [path / str(image["path"]) for image in metadata["well"].get("images", [])]
    if "multiscales" in metadata:
        return [path]
    if "bioformats2raw.layout" in metadata:
        numbers = sorted(int(key) for key in group.group_keys() if key.isdigit())
        return [path / str(number) for number in numbers]
    raise FileError(
        "is a folder without an OME-Zarr image or plate",
        "give the folder of the image, in which zarr.json or .zattrs lies",
        file=path,
    )


def find_labels(path: Path) -> Path:
    """The labels at `path`, or the only set of labels beside the image at `path`.

    Raises
    ------
    DataError
        No labels there, or several.
    """
    metadata = _ome(_group(path))
    if "image-label" in metadata or path.parent.name == "labels":
        return path
    names: list[str] = []
    if (path / "labels").is_dir():
        names = [str(name) for name in _ome(_group(path / "labels")).get("labels", [])]
    if len(names) != 1:
        have = ", ".join(names) or "none"
        raise DataError(
            f"has not one set of labels but {have}",
            f"give its folder, for example {path / 'labels' / (names[0] if names else 'cells')}",
            file=path,
        )
    return path / "labels" / names[0]


def _group(path: Path) -> zarr.Group:
    if not path.exists():
        raise FileError("does not exist", "check the path", file=path)
    try:
        group = zarr.open_group(path, mode="r")
        _ = dict(group.attrs)
    except Exception as error:  # zarr raises errors of many kinds for folders that are not its own
        raise FileError(
            f"is no readable OME-Zarr folder ({error})",
            "give the folder in which zarr.json or .zattrs lies",
            file=path,
        ) from error
    return group


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """OME's metadata: under "ome" since 0.5, at the top before."""
    attributes: dict[str, Any] = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def _image(group: zarr.Group, metadata: Mapping[str, Any], path: Path) -> Image:
    scales = metadata["multiscales"][0]
    listed = scales.get("axes", list("tczyx"))  # 0.1 and 0.2 name no axes
    axes = [a if isinstance(a, dict) else {"name": a} for a in listed]
    names = "".join(str(axis["name"]).lower() for axis in axes)
    if not names.endswith("yx") or not set(names) <= set("tczyx") or (len(set(names)) != len(axes)):
        raise DataError(f"has axes {names}", "axes are some of t, c, z, then y, x", file=path)
    levels = [
        ZarrPlanes(_array(group, str(level["path"]), path), names, path)
        for level in scales["datasets"]
    ]
    scale = np.ones(len(axes))
    inner = scales["datasets"][0].get("coordinateTransformations", [])
    for transformation in [*inner, *scales.get("coordinateTransformations", [])]:
        if transformation["type"] == "scale":
            scale = scale * np.asarray(transformation["scale"], float)
    size = {
        name: (float(value), axis.get("unit"))
        for name, value, axis in zip(names, scale, axes, strict=True)
    }
    n_channels = levels[0].shape[1]
    return Image(
        levels[0],
        _channels(metadata.get("omero", {}), n_channels),
        pixel_size_um=micrometers(*size["x"]),
        frame_interval_s=seconds(*size["t"]) if "t" in size else None,
        z_step_um=micrometers(*size["z"]) if "z" in size else None,
        source=path,
        levels=tuple(levels[1:]),
        about=_about(group),
    )


def _about(group: zarr.Group) -> dict[str, Any]:
    found: Any = dict(group.attrs).get(NOTE)
    return found if isinstance(found, dict) else {}


def _array(group: zarr.Group, name: str, path: Path) -> zarr.Array[Any]:
    found = group.get(name)
    if not isinstance(found, zarr.Array):
        raise FileError(f"lacks its resolution {name!r}", _DAMAGED, file=path)
    return found


def _channels(omero: Mapping[str, Any], n_channels: int) -> tuple[Channel, ...]:
    listed = omero.get("channels", [])
    if len(listed) != n_channels:
        return tuple(Channel(f"C{i}") for i in range(n_channels))
    return tuple(
        Channel(
            str(c.get("label") or f"C{i}"), str(c["color"]).lstrip("#") if "color" in c else None
        )
        for i, c in enumerate(listed)
    )
