from .calibration import (
    TOP_LABEL,
    Calibration,
    Temperature,
    apply_temperature,
    calibration_scores,
    fit_temperature,
    reliability_table,
)
from .classification import (
    ClassificationScores,
    ClassScore,
    class_codes,
    classification_scores,
    wilson_interval,
)
from .conformal import ClassConformal, not_sure
from .hypothesis_tests import (
    McNemar,
    PairedTest,
    corrected_t_test,
    holm,
    mcnemar,
    paired_test,
    stars,
)
from .intervals import (
    MIN_GROUPS,
    Interval,
    bootstrap_interval,
    bootstrap_sums,
    correlation_moments,
    fisher_z_interval,
    mean_interval,
    moments_correlation,
)
from .mixed import Effect, MixedModel, UnitComparison, compare_units, mixed_model
from .permutation import sign_flip_p
from .regression import LinearFit, linear_fit
from .student import student_p
from .unfolding import Response, Unfolded, effective_number, unfold

__all__ = [
    "MIN_GROUPS",
    "TOP_LABEL",
    "Calibration",
    "ClassConformal",
    "ClassScore",
    "ClassificationScores",
    "Effect",
    "Interval",
    "LinearFit",
    "McNemar",
    "MixedModel",
    "PairedTest",
    "Response",
    "Temperature",
    "Unfolded",
    "UnitComparison",
    "apply_temperature",
    "bootstrap_interval",
    "bootstrap_sums",
    "calibration_scores",
    "class_codes",
    "classification_scores",
    "compare_units",
    "corrected_t_test",
    "correlation_moments",
    "effective_number",
    "fisher_z_interval",
    "fit_temperature",
    "holm",
    "linear_fit",
    "mcnemar",
    "mean_interval",
    "mixed_model",
    "moments_correlation",
    "not_sure",
    "paired_test",
    "reliability_table",
    "sign_flip_p",
    "stars",
    "student_p",
    "unfold",
    "wilson_interval",
]
