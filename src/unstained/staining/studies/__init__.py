"""How good can a model get, and what would help? The experiments of Imboden et al. (2021), Fig. 2.

Each takes a lab's own pairs and trains a model per condition: `size_study` (number of training
images), `noise_study` (photons of the stain), `impurity_study` (dust and speckles).
"""

from .impurities import impurity_study
from .noise import noise_study
from .runs import Study
from .size import size_study

__all__ = ["Study", "impurity_study", "noise_study", "size_study"]
