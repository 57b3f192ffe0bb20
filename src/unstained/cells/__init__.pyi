from .adapters import Segmenter, cellpose, instanseg, stardist
from .agreement_report import AgreementReport, agree_files
from .bands import Band, Bands, Coverage, apply_bands, fit_band, held_out_coverage
from .boxes import Plane
from .cell_agreement import Limits, Matched, agreement, bland_altman, match_cells
from .classical import ClassicalSettings, Ground, segment_classical
from .ctc import CtcMovie, read_ctc, write_ctc
from .familiar import Reference, fit_reference, flag_strange
from .labelled import LabelledImage, load_labelled
from .matching import (
    ImageScore,
    Matches,
    Overlaps,
    SegmentationScore,
    ThresholdScore,
    average_precision,
    match_overlaps,
    score_labels,
)
from .measure import FrameCells, MeasureSettings, measure_frame
from .measure_arrays import CellMovie, measure_movies
from .measure_files import FileOptions, measure_folder, measure_segmentation
from .measure_table import Measured
from .measuring import Measuring
from .model import CellModel
from .outline_files import read_outlines, write_geojson, write_imagej
from .outline_folder import Drawn, Exported, export_outlines, segmentation_from_outlines
from .outlines import Filled, Outline, fill_outlines, polygon_area, trace_outlines
from .partition import PartitionSettings
from .score import FileScore, ScoredFiles, score_files
from .segmentation_folder import (
    SegmentationWriter,
    Segmented,
    create_segmentation,
    read_segmentation,
)
from .segmentation_sources import SourceOptions
from .segmenting import (
    FrameSegmenter,
    SegmentedFiles,
    adapter_segmenter,
    classical_segmenter,
    model_segmenter,
    segment_files,
)
from .settings import CellSettings
from .shape import SHAPE_FEATURES, SHAPE_UNITS, shape_features
from .tiling import Canvas, TiledLabels, label_tiles
from .track_files import TrackedFolder, export_ctc, read_tracks, track_folder
from .tracking import TrackSettings, track_labels
from .tracking_scores import Followed, TrackScores, score_tracking
from .tracks import Tracked
from .training import Release, train_cells, write_release

__all__ = [
    "SHAPE_FEATURES",
    "SHAPE_UNITS",
    "AgreementReport",
    "Band",
    "Bands",
    "Canvas",
    "CellModel",
    "CellMovie",
    "CellSettings",
    "ClassicalSettings",
    "Coverage",
    "CtcMovie",
    "Drawn",
    "Exported",
    "FileOptions",
    "FileScore",
    "Filled",
    "Followed",
    "FrameCells",
    "FrameSegmenter",
    "Ground",
    "ImageScore",
    "LabelledImage",
    "Limits",
    "Matched",
    "Matches",
    "MeasureSettings",
    "Measured",
    "Measuring",
    "Outline",
    "Overlaps",
    "PartitionSettings",
    "Plane",
    "Reference",
    "Release",
    "ScoredFiles",
    "SegmentationScore",
    "SegmentationWriter",
    "Segmented",
    "SegmentedFiles",
    "Segmenter",
    "SourceOptions",
    "ThresholdScore",
    "TiledLabels",
    "TrackScores",
    "TrackSettings",
    "Tracked",
    "TrackedFolder",
    "adapter_segmenter",
    "agree_files",
    "agreement",
    "apply_bands",
    "average_precision",
    "bland_altman",
    "cellpose",
    "classical_segmenter",
    "create_segmentation",
    "export_ctc",
    "export_outlines",
    "fill_outlines",
    "fit_band",
    "fit_reference",
    "flag_strange",
    "held_out_coverage",
    "instanseg",
    "label_tiles",
    "load_labelled",
    "match_cells",
    "match_overlaps",
    "measure_folder",
    "measure_frame",
    "measure_movies",
    "measure_segmentation",
    "model_segmenter",
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
    "segmentation_from_outlines",
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
