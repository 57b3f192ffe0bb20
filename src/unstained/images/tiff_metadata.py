"""What a TIFF file says about its pixels: sizes, intervals, channels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import tifffile

from .image import NOTE, Channel

__all__ = ["Facts", "facts_of", "micrometers", "ome_facts", "seconds"]

_MICROMETERS = {
    "pm": 1e-6,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
}
_SECONDS = {
    "ns": 1e-9,
    "µs": 1e-6,
    "μs": 1e-6,
    "us": 1e-6,
    "microsecond": 1e-6,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "msec": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}
_PRINTERS_DPI = (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 360, 400, 600, 1200)
"""Dots per inch that programs write without having measured anything."""


@dataclass(frozen=True)
class Facts:
    """None, () and {} where the file says nothing."""

    pixel_size_um: float | None = None
    pixel_height_um: float | None = None
    frame_interval_s: float | None = None
    z_step_um: float | None = None
    channels: tuple[Channel, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def micrometers(value: float | str | None, unit: str | None) -> float | None:
    """A length in micrometers; None where value or unit is not known."""
    factor = _MICROMETERS.get((unit or "").strip().lower())
    return None if value is None or factor is None else float(value) * factor


def seconds(value: float | str | None, unit: str | None) -> float | None:
    """A time in seconds; None where value or unit is not known."""
    factor = _SECONDS.get((unit or "").strip().lower())
    return None if value is None or factor is None else float(value) * factor


def facts_of(tif: tifffile.TiffFile, field: int) -> Facts:
    """Facts of one field, from OME-XML, ImageJ's tags, or the resolution tags."""
    if tif.is_ome and tif.ome_metadata:
        return ome_facts(tif.ome_metadata, field)
    if tif.is_imagej and tif.imagej_metadata:
        return _imagej_facts(tif)
    width, height = _pixels_per_unit(tif)
    unit = tif.pages.first.tags.get("ResolutionUnit")
    per_inch = {2: 1.0, 3: 2.54}.get(0 if unit is None else int(unit.value))
    if width is None or per_inch is None:
        return Facts()
    dpi = width * per_inch
    if any(abs(dpi - usual) < 0.5 for usual in _PRINTERS_DPI) or dpi <= 254:
        return Facts()
    return Facts(
        pixel_size_um=25400 / dpi,
        pixel_height_um=None if height is None else 25400 / (height * per_inch),
    )


def ome_facts(xml: str, field: int) -> Facts:
    """Facts of image number `field` in OME-XML."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return Facts()
    every = [e for e in root.iter() if _tag(e) == "Pixels"]
    if field >= len(every):
        return Facts()
    pixels = every[field]
    found = pixels.attrib
    channels = []
    for i, element in enumerate(e for e in pixels if _tag(e) == "Channel"):
        name = element.get("Name") or element.get("Fluor") or f"C{i}"
        channels.append(Channel(name, _ome_color(element.get("Color"))))
    return Facts(
        pixel_size_um=micrometers(found.get("PhysicalSizeX"), found.get("PhysicalSizeXUnit", "µm")),
        pixel_height_um=micrometers(
            found.get("PhysicalSizeY"), found.get("PhysicalSizeYUnit", "µm")
        ),
        z_step_um=micrometers(found.get("PhysicalSizeZ"), found.get("PhysicalSizeZUnit", "µm")),
        frame_interval_s=seconds(found.get("TimeIncrement"), found.get("TimeIncrementUnit", "s")),
        channels=tuple(channels),
        about=_about(root),
    )


def _about(root: ElementTree.Element) -> dict[str, Any]:
    """What `write_ome_tiff` noted of the image; empty in files from elsewhere."""
    for element in root.iter():
        if _tag(element) == "CommentAnnotation" and element.get("Namespace") == NOTE:
            try:
                found = json.loads("".join(element.itertext()))
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _ome_color(text: str | None) -> str | None:
    """OME stores red, green, blue, alpha in one signed 32-bit number."""
    if text is None or not re.fullmatch(r"-?\d+", text):
        return None
    return f"{int(text) & 0xFFFFFFFF:08X}"[:6]


def _imagej_facts(tif: tifffile.TiffFile) -> Facts:
    found: dict[str, Any] = dict(tif.imagej_metadata or {})
    unit = str(found.get("unit", "")).replace("\\u00B5", "µ")
    across, down = _pixels_per_unit(tif)
    interval = found.get("finterval")
    n_channels = int(found.get("channels", 1))
    names = _imagej_labels(found, n_channels)
    colors = [_lut_color(lut) for lut in found.get("LUTs", [])]
    if len(colors) != n_channels:
        colors = [None] * n_channels
    return Facts(
        pixel_size_um=micrometers(None if across is None else 1 / across, unit),
        pixel_height_um=micrometers(
            None if down is None else 1 / down,
            str(found.get("yunit", unit)).replace("\\u00B5", "µ"),
        ),
        z_step_um=micrometers(found.get("spacing"), unit) if "slices" in found else None,
        frame_interval_s=seconds(interval, str(found.get("tunit", "s"))),
        channels=tuple(Channel(n, c) for n, c in zip(names, colors, strict=True)),
    )


def _imagej_labels(found: dict[str, Any], n_channels: int) -> list[str]:
    """ImageJ labels planes, channels first; one channel has the label of its only plane."""
    labels = [str(label) for label in found.get("Labels") or []]
    names = labels[:n_channels]
    distinct = len(names) == n_channels == len(set(names)) and all(names)
    if distinct and (n_channels > 1 or len(labels) == 1):
        return names
    return [f"C{i}" for i in range(n_channels)]


def _lut_color(lut: Any) -> str | None:
    """Color of the brightest entry of a (3, 256) lookup table."""
    if getattr(lut, "shape", None) != (3, 256):
        return None
    return "".join(f"{int(v):02X}" for v in lut[:, -1])


def _pixels_per_unit(tif: tifffile.TiffFile) -> tuple[float | None, float | None]:
    both = []
    for name in ("XResolution", "YResolution"):
        tag = tif.pages.first.tags.get(name)
        top, bottom = (0, 0) if tag is None else tag.value
        both.append(top / bottom if top > 0 and bottom > 0 else None)
    return both[0], both[1]
