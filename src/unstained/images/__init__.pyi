from .atomic import atomic_dir, atomic_path
from .background import estimate_background, subtract_background, subtract_control
from .check import check_pairs
from .correct import write_corrected
from .fields import Field, Region
from .findings import CheckReport, CheckSettings, Problem
from .image import Array, Channel, Image, LazyArray, as_image
from .label_free import label_free_fields
from .ome_zarr_writer import OmeZarrWriter, create_ome_zarr, write_ome_zarr
from .pairs import Pairs, write_manifest
from .quality import ImageQuality, c_max, image_quality, noise_variance, snr_rms, snr_var
from .read import fields_of, read_image, read_labels
from .register import Offset, measure_offset
from .sources import load_pairs, pairs_from_channels, pairs_from_folders, pairs_from_manifest
from .splits import spatial_split, split_kind, split_pairs
from .write import write_ome_tiff, write_png

__all__ = [
    "Array",
    "Channel",
    "CheckReport",
    "CheckSettings",
    "Field",
    "Image",
    "ImageQuality",
    "LazyArray",
    "Offset",
    "OmeZarrWriter",
    "Pairs",
    "Problem",
    "Region",
    "as_image",
    "atomic_dir",
    "atomic_path",
    "c_max",
    "check_pairs",
    "create_ome_zarr",
    "estimate_background",
    "fields_of",
    "image_quality",
    "label_free_fields",
    "load_pairs",
    "measure_offset",
    "noise_variance",
    "pairs_from_channels",
    "pairs_from_folders",
    "pairs_from_manifest",
    "read_image",
    "read_labels",
    "snr_rms",
    "snr_var",
    "spatial_split",
    "split_kind",
    "split_pairs",
    "subtract_background",
    "subtract_control",
    "write_corrected",
    "write_manifest",
    "write_ome_tiff",
    "write_ome_zarr",
    "write_png",
]
