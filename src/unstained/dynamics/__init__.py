"""How cells change over time: traces, correlations, kymographs, divisions.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autocorrelation import Acf, autocovariance, expected_sums
    from .correlation_times import CorrelationTime, CorrelationTimeSettings, correlation_time
    from .correlations import ComparedCorrelations, CorrelationSettings, compare_correlations
    from .divisions import DivisionSettings, Inheritance, division_levels, inheritance
    from .fixed_to_live import Validity, ValiditySettings, image_features, validity
    from .kymographs import Kymograph, KymographSettings, kymograph, marker_difference
    from .model_error import (
        ErrorBounds,
        correlation_bounds,
        error_bounds,
        error_in_time,
        relative_error,
    )
    from .periods import Periods, PeriodSettings, main_periods
    from .spectra import Spectrum, mean_spectrum
    from .traces import MarkerTraces, marker_traces, trace_table
    from .trends import detrend, relative_fluctuation

_MODULES = {
    "autocorrelation": (
        "Acf",
        "autocovariance",
        "expected_sums",
    ),
    "correlation_times": (
        "CorrelationTime",
        "CorrelationTimeSettings",
        "correlation_time",
    ),
    "correlations": (
        "ComparedCorrelations",
        "CorrelationSettings",
        "compare_correlations",
    ),
    "divisions": (
        "DivisionSettings",
        "Inheritance",
        "division_levels",
        "inheritance",
    ),
    "fixed_to_live": (
        "Validity",
        "ValiditySettings",
        "image_features",
        "validity",
    ),
    "kymographs": (
        "Kymograph",
        "KymographSettings",
        "kymograph",
        "marker_difference",
    ),
    "model_error": (
        "ErrorBounds",
        "correlation_bounds",
        "error_bounds",
        "error_in_time",
        "relative_error",
    ),
    "periods": (
        "PeriodSettings",
        "Periods",
        "main_periods",
    ),
    "spectra": (
        "Spectrum",
        "mean_spectrum",
    ),
    "traces": (
        "MarkerTraces",
        "marker_traces",
        "trace_table",
    ),
    "trends": (
        "detrend",
        "relative_fluctuation",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Acf",
    "ComparedCorrelations",
    "CorrelationSettings",
    "CorrelationTime",
    "CorrelationTimeSettings",
    "DivisionSettings",
    "ErrorBounds",
    "Inheritance",
    "Kymograph",
    "KymographSettings",
    "MarkerTraces",
    "PeriodSettings",
    "Periods",
    "Spectrum",
    "Validity",
    "ValiditySettings",
    "autocovariance",
    "compare_correlations",
    "correlation_bounds",
    "correlation_time",
    "detrend",
    "division_levels",
    "error_bounds",
    "error_in_time",
    "expected_sums",
    "image_features",
    "inheritance",
    "kymograph",
    "main_periods",
    "marker_difference",
    "marker_traces",
    "mean_spectrum",
    "relative_error",
    "relative_fluctuation",
    "trace_table",
    "validity",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
