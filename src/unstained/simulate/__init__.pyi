from .camera import Camera, dust, expose, floaters, uneven_illumination
from .cells import SHARES, Cell
from .colony_fates import Fate
from .colony_shapes import Outline
from .colony_wells import (
    Colony,
    ColonySettings,
    ColonyState,
    Look,
    Well,
    WellFrame,
    plan_well,
    render_frame,
)
from .colony_writer import write_colonies
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
    "Colony",
    "ColonySettings",
    "ColonyState",
    "Dish",
    "Fate",
    "Look",
    "Marker",
    "Movie",
    "MovieFrame",
    "MovieSettings",
    "Optics",
    "Outline",
    "SimulatedField",
    "Well",
    "WellFrame",
    "dust",
    "expose",
    "floaters",
    "image_of",
    "plan_well",
    "render_frame",
    "simulate_field",
    "uneven_illumination",
    "write_colonies",
    "write_movie",
    "write_pairs",
]
