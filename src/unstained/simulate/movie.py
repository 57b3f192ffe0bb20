"""Movies: cells that crawl, change shape, divide and die, while their markers fluctuate.

What each cell does is computed for all frames at once, which is cheap (`lineage`); a frame is
rendered when it is asked for, so a movie may be larger than memory and a frame alone equals that
frame of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..images.image import Array, Channel, Image, LazyPlanes
from ..settings import check_settings
from .camera import Camera
from .cells import SHARES, Cell, Phenotype, checked_shares, outline_um, polygon_area
from .field import Dish, check_pixel, expose_stains, label_free
from .lineage import Track, cell_at, grow_lineage
from .optics import Optics, check_workers
from .stains import Marker, Wave, chosen_markers
from .streams import stream
from .structures import Structures, render

__all__ = ["SHAPE_COLUMNS", "Movie", "MovieFrame", "MovieSettings"]


SHAPE_COLUMNS = (
    "label",
    "y_um",
    "x_um",
    "angle_rad",
    "area_um2",
    "perimeter_um",
    "volume_um3",
    "nucleus_area_um2",
    "roundness",
    "elongation",
)

_LONGEST_INTERVAL_S = 7 * 24 * 3600
"""Some cycles of a cell; nothing that a movie follows lasts from one frame to the next then."""


@dataclass(frozen=True)
class MovieSettings:
    """Everything that a movie depends on; the same settings give the same pixels.

    Attributes
    ----------
    frames : int
    interval_s : float
        From frame to frame, at most a week.
    size : int
        Side of the field, pixels.
    cells : int
        At the start.
    markers : sequence of str, or mapping of str to Marker
        Presets by name, or markers of your own. `Marker.level_sd` is the spread between cells.
    shares : mapping of phenotype to float
    tau_min : float or mapping of marker to float
        Correlation time of each marker's fluctuation in a cell, minutes.
    fluctuation_sd : float
        Standard deviation of the logarithm of a cell's level over time.
    fluctuation_correlation, level_correlation : float
        Between any two markers: over one cell's time, and over the cells' means.
    mother_daughter : float
        Correlation of a daughter's level and fluctuation at birth with its mother's last.
    partition : float
        What one sister gets at division the other lacks: the correlation of the two sisters'
        own parts is minus this, 0 to 1.
    speed_um_per_h, persistence_min : float
        Of the persistent random walk: root mean square speed, and correlation time of velocity.
    shape_sd, shape_tau_min : float
        Spread of the logarithm of an arm's length, and its correlation time.
    cycle_h, cycle_cv : float
        Mean and relative spread of the time from birth to division.
    mitosis_min : float
        For which a cell rounds up before division and spreads after it.
    death_per_h : float
        Rate.
    wave_amplitude, wave_period_min, wave_period_um : float
        Of the pattern that travels along the cells, and its periods in time and space.
    seed : int
    optics, camera, dish
        As for `simulate_field`.

    Raises
    ------
    InputError
        A value that cannot be, with its name.
    """

    frames: int = 60
    interval_s: float = 120.0
    size: int = 512
    cells: int = 15
    markers: Sequence[str] | Mapping[str, Marker] = ("CD105", "CD29", "CD44", "STRO-1")
    shares: Mapping[Phenotype, float] = field(default_factory=lambda: dict(SHARES))
    tau_min: float | Mapping[str, float] = 40.0
    fluctuation_sd: float = 0.15
    fluctuation_correlation: float = 0.2
    level_correlation: float = 0.6
    mother_daughter: float = 0.7
    partition: float = 0.3
    speed_um_per_h: float = 20.0
    persistence_min: float = 30.0
    shape_sd: float = 0.15
    shape_tau_min: float = 60.0
    cycle_h: float = 24.0
    cycle_cv: float = 0.15
    mitosis_min: float = 40.0
    death_per_h: float = 0.002
    wave_amplitude: float = 0.15
    wave_period_min: float = 120.0
    wave_period_um: float = 40.0
    seed: int = 0
    optics: Optics = field(default_factory=Optics)
    camera: Camera = field(default_factory=Camera)
    dish: Dish = field(default_factory=Dish)

    def __post_init__(self) -> None:
        positive = ("interval_s", "persistence_min", "shape_tau_min", "cycle_h", "mitosis_min")
        signed = ("fluctuation_correlation", "level_correlation")
        check_settings(
            self,
            least={"frames": 1, "size": 64} | dict.fromkeys(signed, -1),
            positive=(*positive, "wave_period_min", "wave_period_um"),
            shares=("mother_daughter", "partition", "wave_amplitude"),
        )
        check_pixel(self.optics.pixel_size_um)
        chosen = chosen_markers(self.markers)
        checked_shares(self.shares)
        if isinstance(self.tau_min, Mapping):
            odd = [name for name in self.tau_min if name not in chosen]
            if odd:
                raise InputError(f"a tau_min for {', '.join(odd)}", f"markers: {', '.join(chosen)}")
        for name in chosen:
            tau: Any = self.tau_of(name)
            number = isinstance(tau, Real) and not isinstance(tau, bool)
            if not number or not 0 < tau < math.inf:
                raise InputError(f"tau_min of {name} is {tau!r}", "give a positive number")
        if self.interval_s > _LONGEST_INTERVAL_S:
            raise InputError(
                f"interval_s is {self.interval_s:g}", f"give at most {_LONGEST_INTERVAL_S}, a week"
            )
        # the matrix of equal correlations r of M markers has the eigenvalue 1 + (M - 1) r
        lowest = -1 / (len(chosen) - 1) if len(chosen) > 1 else -1.0
        for name in signed:
            if not lowest <= getattr(self, name) <= 1:
                raise InputError(
                    f"{name} is {getattr(self, name)} between {len(chosen)} markers",
                    f"give {lowest:.2f} to 1",
                )

    def tau_of(self, marker: str) -> float:
        """Correlation time of a marker, minutes; 40 where a mapping does not name it."""
        return self.tau_min.get(marker, 40.0) if isinstance(self.tau_min, Mapping) else self.tau_min


class MovieFrame(NamedTuple):
    """One frame: images (Y, X) uint16, labels (Y, X) int32, expected stains (Y, X) float32."""

    phase: Array
    stains: dict[str, Array]
    expected: dict[str, Array]
    labels: Array
    nuclei: Array


class Movie:
    """A movie whose frames are made when they are asked for.

    Attributes
    ----------
    settings : MovieSettings
    markers : dict of str to Marker
    tracks : list of Track
        Every cell from its first frame to its last, with all that it did.

    Raises
    ------
    InputError
        More cells than fit.
    """

    def __init__(self, settings: MovieSettings) -> None:
        self.settings = settings
        self.markers = chosen_markers(settings.markers)
        self.tracks: list[Track] = grow_lineage(settings, self.markers)
        self._last: tuple[int, Structures] | None = None

    def cells(self, t: int) -> list[Cell]:
        """The cells that live in frame `t`.

        Raises
        ------
        InputError
            There is no such frame.
        """
        if not 0 <= t < self.settings.frames:
            raise InputError(f"no frame {t}", f"there are 0 to {self.settings.frames - 1}")
        return [cell_at(track, t) for track in self.tracks if track.begin <= t <= track.end]

    def structures(self, t: int) -> Structures:
        """What is where in frame `t`."""
        if self._last is None or self._last[0] != t:
            chosen = self.settings
            made = render(
                self.cells(t),
                (chosen.size, chosen.size),
                chosen.optics.pixel_size_um,
                wavelength_um=chosen.optics.wavelength_um,
                debris_per_mm2=chosen.dish.debris_per_mm2,
                seed=(chosen.seed, 1),
            )
            self._last = (t, made)
        return self._last[1]

    def phase(self, t: int, *, workers: int = 1) -> Array:
        """The label-free image of frame `t` as (Y, X) uint16."""
        chosen = self.settings
        return label_free(
            self.structures(t),
            chosen.optics,
            chosen.camera,
            chosen.dish,
            (chosen.seed, 2),
            frame=t,
            workers=workers,
        )

    def frame(self, t: int, *, workers: int = 1) -> MovieFrame:
        """Frame `t` with stains and labels; no number of `workers` changes a pixel."""
        structures = self.structures(t)
        stains = self._stains(t, structures)
        return MovieFrame(
            phase=self.phase(t, workers=workers),
            stains={name: image for name, image, _ in stains},
            expected={name: grey for name, _, grey in stains},
            labels=structures.labels,
            nuclei=structures.nuclei,
        )

    def _stains(self, t: int, structures: Structures) -> list[tuple[str, Array, Array]]:
        chosen = self.settings
        n_labels = len(self.tracks) + 1
        levels = {name: np.ones(n_labels) for name in self.markers}
        for track in self.tracks:
            if track.begin <= t <= track.end:
                for name, level in zip(self.markers, track.level[t - track.begin], strict=True):
                    levels[name][track.label] = level
        turn = t * chosen.interval_s / 60 / chosen.wave_period_min
        waves = {
            name: Wave(chosen.wave_amplitude, chosen.wave_period_um, turn, self._wave_phase(i))
            for i, name in enumerate(self.markers)
        }
        return expose_stains(
            self.markers,
            structures,
            self.cells(t),
            levels,
            chosen.optics,
            chosen.camera,
            (chosen.seed, 3),
            frame=t,
            waves=waves if chosen.wave_amplitude > 0 else None,
        )

    def _wave_phase(self, marker: int) -> Array:
        return stream(self.settings.seed, 4, marker).uniform(0, 2 * math.pi, len(self.tracks) + 1)

    def image(self, *, workers: int = 1, progress: Callable[[float], None] | None = None) -> Image:
        """Label-free image and stains as channels of a lazy image (T, C, 1, Y, X), uint16.

        Read frame after frame, each is rendered once; `progress` is then called with the share
        of frames that it ends.

        Raises
        ------
        InputError
            No worker.
        """
        check_workers(workers)
        names = ("phase", *self.markers)
        return Image(
            _MoviePlanes(self, workers, progress),
            tuple(Channel(name) for name in names),
            pixel_size_um=self.settings.optics.pixel_size_um,
            frame_interval_s=self.settings.interval_s,
        )

    def labels(self, what: str = "cells") -> LazyPlanes:
        """Labels of ``"cells"`` or ``"nuclei"`` as a lazy array (T, 1, 1, Y, X), int32.

        Raises
        ------
        InputError
            Another name.
        """
        if what not in ("cells", "nuclei"):
            raise InputError(f"no labels {what!r}", "there are cells and nuclei")
        return _LabelPlanes(self, what)

    def ctc_tracks(self) -> Array:
        """Tracks as the Cell Tracking Challenge wants them: (N, 4) int, columns L B E P [1]_.

        Label, first frame, last frame, parent (0: none).

        References
        ----------
        .. [1] https://celltrackingchallenge.net/annotations/
        """
        rows = [(track.label, track.begin, track.end, track.parent) for track in self.tracks]
        return np.array(rows, int).reshape(-1, 4)

    def shape(self, t: int) -> list[dict[str, float]]:
        """Shape of every cell of frame `t`, from its outline: lengths in um, angles in radians.

        `elongation` is the ratio that a marker's light follows with the power `Marker.elongation`.
        """
        rows = []
        for cell in self.cells(t):
            outline = outline_um(cell)
            step = np.roll(outline, -1, axis=0) - outline
            values = (
                cell.label,
                cell.y_um,
                cell.x_um,
                cell.angle_rad % math.pi,
                polygon_area(outline),
                float(np.hypot(*step.T).sum()),
                cell.volume_um3,
                math.pi * math.prod(cell.shown_nucleus_um),
                cell.roundness,
                cell.elongation,
            )
            rows.append(dict(zip(SHAPE_COLUMNS, values, strict=True)))
        return rows


class _MoviePlanes(LazyPlanes):
    """The pixels of a movie; the last frame is kept."""

    def __init__(
        self, movie: Movie, workers: int, progress: Callable[[float], None] | None
    ) -> None:
        chosen = movie.settings
        shape = (chosen.frames, 1 + len(movie.markers), 1, chosen.size, chosen.size)
        super().__init__(shape, np.dtype(np.uint16))
        self._movie, self._workers, self._progress = movie, workers, progress
        self._last: tuple[int, list[Array]] | None = None

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        if self._last is None or self._last[0] != t:
            made = self._movie.frame(t, workers=self._workers)
            self._last = (t, [made.phase, *made.stains.values()])
            if self._progress is not None:
                self._progress((t + 1) / self.shape[0])
        return self._last[1][c][y, x]


class _LabelPlanes(LazyPlanes):
    """The labels of a movie."""

    def __init__(self, movie: Movie, what: str) -> None:
        chosen = movie.settings
        super().__init__((chosen.frames, 1, 1, chosen.size, chosen.size), np.dtype(np.int32))
        self._movie, self._what = movie, what

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        made = self._movie.structures(t)
        return (made.labels if self._what == "cells" else made.nuclei)[y, x]
