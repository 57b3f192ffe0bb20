"""Intervals, tests and straight lines: arrays in, named numbers out."""

from .intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_sums,
    correlation_moments,
    fisher_z_interval,
    mean_interval,
    moments_correlation,
)
from .regression import LinearFit, linear_fit
from .tests import PairedTest, holm, paired_test, stars

__all__ = [
    "Interval",
    "LinearFit",
    "PairedTest",
    "bootstrap_interval",
    "bootstrap_sums",
    "correlation_moments",
    "fisher_z_interval",
    "holm",
    "linear_fit",
    "mean_interval",
    "moments_correlation",
    "paired_test",
    "stars",
]
