"""Simulated experiments with known truth: cells, their optics, their stains, their movies.

They show that a method runs and learns, not that it works on real cells.
"""

from .camera import Camera, dust, expose, uneven_illumination
from .cells import SHARES, Cell
from .field import Dish, SimulatedField, simulate_field
from .movie import Movie, MovieFrame, MovieSettings
from .movie_files import write_movie
from .optics import Optics, image_of
from .pairs import write_pairs
from .stains import DEFAULT_MARKERS, MARKERS, Marker

__all__ = [
    "DEFAULT_MARKERS",
    "MARKERS",
    "SHARES",
    "Camera",
    "Cell",
    "Dish",
    "Marker",
    "Movie",
    "MovieFrame",
    "MovieSettings",
    "Optics",
    "SimulatedField",
    "dust",
    "expose",
    "image_of",
    "simulate_field",
    "uneven_illumination",
    "write_movie",
    "write_pairs",
]
