from .download import bundle, cache_dir, fetch, is_cached
from .labelled import FollowedMovie, LabelledFiles, standard_labels, standard_movie
from .registry import DataFile, DataSet, info, names
from .standard import standard_pairs

__all__ = [
    "DataFile",
    "DataSet",
    "FollowedMovie",
    "LabelledFiles",
    "bundle",
    "cache_dir",
    "fetch",
    "info",
    "is_cached",
    "names",
    "standard_labels",
    "standard_movie",
    "standard_pairs",
]
