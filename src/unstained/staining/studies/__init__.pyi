from .impurities import impurity_study
from .noise import noise_study
from .runs import Study
from .size import size_study

__all__ = ["Study", "impurity_study", "noise_study", "size_study"]
