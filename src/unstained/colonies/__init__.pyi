from .balance import balancing_weights, em_prior
from .classifier import ColonyClassifier
from .detect import Detection, DetectSettings, detect_colonies
from .detection_folder import detect_files, read_colonies, read_crop
from .entropy import local_entropy
from .evaluation import Evaluation, evaluate, prediction_table
from .examples import Examples, load_examples
from .fractions import class_fractions, compare_groups, group_fractions
from .links import link_frames
from .settings import METHODS, ClassifierSettings
from .stains import Stains
from .votes import fleiss_kappa, merge_votes, votes_into_detection

__all__ = [
    "METHODS",
    "ClassifierSettings",
    "ColonyClassifier",
    "DetectSettings",
    "Detection",
    "Evaluation",
    "Examples",
    "Stains",
    "balancing_weights",
    "class_fractions",
    "compare_groups",
    "detect_colonies",
    "detect_files",
    "em_prior",
    "evaluate",
    "fleiss_kappa",
    "group_fractions",
    "link_frames",
    "load_examples",
    "local_entropy",
    "merge_votes",
    "prediction_table",
    "read_colonies",
    "read_crop",
    "votes_into_detection",
]
