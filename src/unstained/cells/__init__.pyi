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
from .segmentation_folder import Segmented, create_segmentation, read_segmentation
from .segmenting import segment_files
from .settings import CellSettings
from .shape import SHAPE_FEATURES, SHAPE_UNITS, shape_features
from .tiling import label_tiles
from .track_files import read_tracks, track_folder
from .tracking import TrackSettings, track_labels
from .tracking_scores import TrackScores, score_tracking
from .tracks import Tracked
from .training import train_cells, write_release

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
