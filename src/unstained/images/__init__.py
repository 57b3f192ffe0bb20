"""Images, pairs of images, and the ways in and out of files.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .atomic import atomic_dir, atomic_path
    from .fields import Field, Region
    from .image import Array, Channel, Image, LazyArray, as_image
    from .ome_zarr_writer import OmeZarrWriter, create_ome_zarr, write_ome_zarr
    from .pairs import Pairs, write_manifest
    from .read import fields_of, read_image, read_labels
    from .sources import load_pairs, pairs_from_channels, pairs_from_folders, pairs_from_manifest
    from .splits import spatial_split, split_kind, split_pairs
    from .write import write_ome_tiff, write_png

_MODULES = {
    "atomic": ("atomic_dir", "atomic_path"),
    "fields": ("Field", "Region"),
    "image": ("Array", "Channel", "Image", "LazyArray", "as_image"),
    "ome_zarr_writer": ("OmeZarrWriter", "create_ome_zarr", "write_ome_zarr"),
    "pairs": ("Pairs", "write_manifest"),
    "read": ("fields_of", "read_image", "read_labels"),
    "sources": ("load_pairs", "pairs_from_channels", "pairs_from_folders", "pairs_from_manifest"),
    "splits": ("spatial_split", "split_kind", "split_pairs"),
    "write": ("write_ome_tiff", "write_png"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Array",
    "Channel",
    "Field",
    "Image",
    "LazyArray",
    "OmeZarrWriter",
    "Pairs",
    "Region",
    "as_image",
    "atomic_dir",
    "atomic_path",
    "create_ome_zarr",
    "fields_of",
    "load_pairs",
    "pairs_from_channels",
    "pairs_from_folders",
    "pairs_from_manifest",
    "read_image",
    "read_labels",
    "spatial_split",
    "split_kind",
    "split_pairs",
    "write_manifest",
    "write_ome_tiff",
    "write_ome_zarr",
    "write_png",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
