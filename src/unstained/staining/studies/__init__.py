"""How good can a model get, and what would help? The experiments of Imboden et al. (2021), Fig. 2.

Each takes a lab's own pairs and trains a model per condition: `size_study` (number of training
images), `noise_study` (photons of the stain), `impurity_study` (dust and speckles).

Names come from their modules when they are first used, so importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
