"""Single cells: outlines, segmentation, tracks, measures, shape.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapters import cellpose, instanseg, stardist
    from .bands import Bands, apply_bands, fit_band, held_out_coverage
    from .cell_agreement import agreement, bland_altman, match_cells
    from .classical import ClassicalSettings, segment_classical
    from .ctc import read_ctc, write_ctc
    from .familiar import Reference, fit_reference, flag_strange
    from .matching import average_precision, match_overlaps, score_labels
    from .measure import MeasureSettings, measure_frame
    from .measure_files import measure_folder, measure_segmentation
    from .model import CellModel
    from .outline_files import read_outlines, write_geojson, write_imagej
    from .outlines import Outline, fill_outlines, polygon_area, trace_outlines
    from .score import score_files
    from .segment_files import segment_files
    from .segmentation_folder import Segmented, create_segmentation, read_segmentation
    from .settings import CellSettings
    from .shape import SHAPE_FEATURES, SHAPE_UNITS, shape_features
    from .tiling import label_tiles
    from .track_files import read_tracks, track_folder
    from .tracking import TrackSettings, track_labels
    from .tracking_scores import TrackScores, score_tracking
    from .tracks import Tracked
    from .training import train_cells, write_release

_MODULES = {
    "adapters": (
        "cellpose",
        "instanseg",
        "stardist",
    ),
    "cell_agreement": (
        "agreement",
        "bland_altman",
        "match_cells",
    ),
    "bands": (
        "Bands",
        "apply_bands",
        "fit_band",
        "held_out_coverage",
    ),
    "classical": (
        "ClassicalSettings",
        "segment_classical",
    ),
    "ctc": (
        "read_ctc",
        "write_ctc",
    ),
    "familiar": (
        "Reference",
        "fit_reference",
        "flag_strange",
    ),
    "matching": (
        "average_precision",
        "match_overlaps",
        "score_labels",
    ),
    "measure": (
        "MeasureSettings",
        "measure_frame",
    ),
    "measure_files": (
        "measure_folder",
        "measure_segmentation",
    ),
    "model": ("CellModel",),
    "outline_files": (
        "read_outlines",
        "write_geojson",
        "write_imagej",
    ),
    "outlines": (
        "Outline",
        "fill_outlines",
        "polygon_area",
        "trace_outlines",
    ),
    "score": ("score_files",),
    "segment_files": ("segment_files",),
    "segmentation_folder": (
        "Segmented",
        "create_segmentation",
        "read_segmentation",
    ),
    "settings": ("CellSettings",),
    "shape": (
        "SHAPE_FEATURES",
        "SHAPE_UNITS",
        "shape_features",
    ),
    "tiling": ("label_tiles",),
    "track_files": (
        "read_tracks",
        "track_folder",
    ),
    "tracking": (
        "TrackSettings",
        "track_labels",
    ),
    "tracking_scores": (
        "TrackScores",
        "score_tracking",
    ),
    "tracks": ("Tracked",),
    "training": (
        "train_cells",
        "write_release",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "SHAPE_FEATURES",
    "SHAPE_UNITS",
    "Bands",
    "CellModel",
    "CellSettings",
    "ClassicalSettings",
    "MeasureSettings",
    "Outline",
    "Reference",
    "Segmented",
    "TrackScores",
    "TrackSettings",
    "Tracked",
    "agreement",
    "apply_bands",
    "average_precision",
    "bland_altman",
    "cellpose",
    "create_segmentation",
    "fill_outlines",
    "fit_band",
    "fit_reference",
    "flag_strange",
    "held_out_coverage",
    "instanseg",
    "label_tiles",
    "match_cells",
    "match_overlaps",
    "measure_folder",
    "measure_frame",
    "measure_segmentation",
    "polygon_area",
    "read_ctc",
    "read_outlines",
    "read_segmentation",
    "read_tracks",
    "score_files",
    "score_labels",
    "score_tracking",
    "segment_classical",
    "segment_files",
    "shape_features",
    "stardist",
    "trace_outlines",
    "track_folder",
    "track_labels",
    "train_cells",
    "write_ctc",
    "write_geojson",
    "write_imagej",
    "write_release",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
