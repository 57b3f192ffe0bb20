"""Small, openly licensed data sets: what there is, where it comes from, how it is split.

>>> from unstained import datasets
>>> datasets.names()
('isl', 'mlcp', 'usiigaci')

`fetch` gives a folder, `standard_pairs` the training pairs with their standard split,
`standard_labels` and `standard_movie` cells that are outlined and followed.

Names come from their modules when they are first used, so importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
