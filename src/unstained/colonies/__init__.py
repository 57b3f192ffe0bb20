"""Colonies of stem cells: found in whole wells, labelled by people, classified from few labels.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from .votes import fleiss_kappa, merge_votes, votes_into_detection

_MODULES = {
    "balance": ("balancing_weights", "em_prior"),
    "classifier": ("ColonyClassifier",),
    "detect": ("Detection", "DetectSettings", "detect_colonies"),
    "detection_folder": ("detect_files", "read_colonies", "read_crop"),
    "entropy": ("local_entropy",),
    "evaluation": ("Evaluation", "evaluate", "prediction_table"),
    "examples": ("Examples", "load_examples"),
    "fractions": ("class_fractions", "compare_groups", "group_fractions"),
    "links": ("link_frames",),
    "settings": ("METHODS", "ClassifierSettings"),
    "votes": ("fleiss_kappa", "merge_votes", "votes_into_detection"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "METHODS",
    "ClassifierSettings",
    "ColonyClassifier",
    "DetectSettings",
    "Detection",
    "Evaluation",
    "Examples",
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


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
