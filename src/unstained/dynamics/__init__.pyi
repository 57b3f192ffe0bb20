from .autocorrelation import Acf, autocovariance, expected_sums
from .correlation_times import CorrelationTime, CorrelationTimeSettings, correlation_time
from .correlations import (
    ComparedCorrelations,
    Correlations,
    CorrelationSettings,
    compare_correlations,
)
from .divisions import DivisionSettings, Inheritance, division_levels, inheritance
from .fixed_to_live import Validity, ValiditySettings, validity
from .kymographs import (
    CellFrame,
    Kymograph,
    KymographSettings,
    MarkerDifference,
    kymograph,
    marker_difference,
)
from .model_error import ErrorBounds, ErrorInTime, correlation_bounds, error_bounds, error_in_time
from .periods import Periods, PeriodSettings, WavePeriod, WaveSpectrum, main_periods
from .spectra import Period, Spectrum, mean_spectrum
from .traces import MarkerTraces, marker_traces, trace_table
from .trends import common_slope, detrend, relative_fluctuation

__all__ = [
    "Acf",
    "CellFrame",
    "ComparedCorrelations",
    "CorrelationSettings",
    "CorrelationTime",
    "CorrelationTimeSettings",
    "Correlations",
    "DivisionSettings",
    "ErrorBounds",
    "ErrorInTime",
    "Inheritance",
    "Kymograph",
    "KymographSettings",
    "MarkerDifference",
    "MarkerTraces",
    "Period",
    "PeriodSettings",
    "Periods",
    "Spectrum",
    "Validity",
    "ValiditySettings",
    "WavePeriod",
    "WaveSpectrum",
    "autocovariance",
    "common_slope",
    "compare_correlations",
    "correlation_bounds",
    "correlation_time",
    "detrend",
    "division_levels",
    "error_bounds",
    "error_in_time",
    "expected_sums",
    "inheritance",
    "kymograph",
    "main_periods",
    "marker_difference",
    "marker_traces",
    "mean_spectrum",
    "relative_fluctuation",
    "trace_table",
    "validity",
]
