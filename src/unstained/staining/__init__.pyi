from .panel import Panel
from .prediction import estimate, predict
from .predictor import PredictOptions, Predictor
from .score import score_panel
from .score_table import ScoreSettings, ScoreTable
from .settings import PRESETS, TrainSettings
from .stain_planes import StainPlanes
from .training import train
from .verdict import Verdict, verdicts
from .weighing import Weighed, weigh

__all__ = [
    "PRESETS",
    "Panel",
    "PredictOptions",
    "Predictor",
    "ScoreSettings",
    "ScoreTable",
    "StainPlanes",
    "TrainSettings",
    "Verdict",
    "Weighed",
    "estimate",
    "predict",
    "score_panel",
    "train",
    "verdicts",
    "weigh",
]
