from .balance import balancing_weights, em_prior
from .classifier import ColonyClassifier
from .comparison import Arm, Comparison, Plan, compare, parse_arms
from .detect import Detection, DetectSettings, detect_colonies
from .detect_sources import FileOptions
from .detection_folder import ColonyCrop, DetectedFiles, detect_files, read_colonies, read_crop
from .entropy import local_entropy
from .evaluation import Evaluation, SetScores, evaluate, prediction_table
from .examples import Examples, load_examples
from .fractions import GroupEffect, class_fractions, compare_groups, group_fractions
from .links import Links, LinkSettings, link_frames
from .settings import METHODS, ClassifierSettings
from .stains import Stainer, Stains
from .training import train_model
from .votes import LabelledFolder, VoteResult, fleiss_kappa, merge_votes, votes_into_detection

__all__ = [
    "METHODS",
    "Arm",
    "ClassifierSettings",
    "ColonyClassifier",
    "ColonyCrop",
    "Comparison",
    "DetectSettings",
    "DetectedFiles",
    "Detection",
    "Evaluation",
    "Examples",
    "FileOptions",
    "GroupEffect",
    "LabelledFolder",
    "LinkSettings",
    "Links",
    "Plan",
    "SetScores",
    "Stainer",
    "Stains",
    "VoteResult",
    "balancing_weights",
    "class_fractions",
    "compare",
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
    "parse_arms",
    "prediction_table",
    "read_colonies",
    "read_crop",
    "train_model",
    "votes_into_detection",
]
