from .card import score_with_panel, split_as_trained
from .compare import compare_models, score_frame
from .normalize import MarkerSpec, Normalization, Statistics
from .panel import Member, Panel
from .predict_plan import Estimate
from .prediction import Prediction, estimate, predict, predict_files
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
    "Estimate",
    "MarkerSpec",
    "Member",
    "Normalization",
    "Panel",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "ScoreSettings",
    "ScoreTable",
    "StainPlanes",
    "Statistics",
    "TrainSettings",
    "Verdict",
    "Weighed",
    "compare_models",
    "estimate",
    "predict",
    "predict_files",
    "score_frame",
    "score_panel",
    "score_with_panel",
    "split_as_trained",
    "train",
    "verdicts",
    "weigh",
]
