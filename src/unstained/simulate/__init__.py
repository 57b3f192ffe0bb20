"""Simulated cells: phase contrast and stains of the same field, with a known ceiling.

They show that a method runs and learns, not that it works on real cells.
"""

from .field import MARKERS, Marker, SimulatedField, simulate_field
from .pairs import write_pairs

__all__ = ["MARKERS", "Marker", "SimulatedField", "simulate_field", "write_pairs"]
