"""Small, openly licensed data sets: what there is, where it comes from, how it is split.

>>> from unstained import datasets
>>> datasets.names()
('isl', 'mlcp', 'usiigaci')

`fetch` gives a folder, `standard_pairs` the training pairs with their standard split,
`standard_labels` and `standard_movie` cells that are outlined and followed.
"""

from .fetch import bundle, cache_dir, fetch, is_cached
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
