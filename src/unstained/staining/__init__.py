"""Virtual staining: train panels, predict stains, and say how far to believe them.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .panel import Panel
    from .prediction import estimate, predict
    from .predictor import PredictOptions, Predictor
    from .score import score_panel
    from .score_table import ScoreSettings, ScoreTable
    from .settings import PRESETS, TrainSettings
    from .training import train
    from .verdict import Verdict, verdicts

_MODULES = {
    "panel": ("Panel",),
    "prediction": ("estimate", "predict"),
    "predictor": ("PredictOptions", "Predictor"),
    "score": ("score_panel",),
    "score_table": ("ScoreSettings", "ScoreTable"),
    "settings": ("PRESETS", "TrainSettings"),
    "training": ("train",),
    "verdict": ("Verdict", "verdicts"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "PRESETS",
    "Panel",
    "PredictOptions",
    "Predictor",
    "ScoreSettings",
    "ScoreTable",
    "TrainSettings",
    "Verdict",
    "estimate",
    "predict",
    "score_panel",
    "train",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
