"""Cells on a grid of pixels: thickness, nuclei, granules, delay of the light, labels.

Each cell is drawn in a window of its own, from its outline's distance map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..images.image import Array
from .cells import Cell, outline_um
from .streams import Seed, stream

__all__ = ["Structures", "render"]


# refractive index above the medium's; that the nucleus is the thinner one: Schuermann et al.
# (2016), J Biophotonics 9:1068. What is marked * was tuned on real phase contrast, see
# benchmarks/realism.py
_CYTOPLASM = 0.044  # * beside the nucleus, where organelles are
_LAMELLA = 0.38  # * far from the nucleus over that beside it
_ORGANELLES_UM = 11.0  # * how far they reach from the nucleus, where a Gaussian falls to 1/e
_NUCLEUS = -0.004  # * on top of the cytoplasm's
_RIM_UM = 1.6  # over which the lamella rises from the edge
_TEXTURE = 0.14  # standard deviation of the thickness's relative roughness
_FOLDS = 0.12  # * as much beside the nucleus, of folds and organelles, which no stain shows
_FOLDS_LAMELLA = 0.4  # * far from the nucleus over that beside it
# standard deviations, along the cell and across, of the Gaussian that smooths them: strands
_FOLD_UM = (2.0, 1.0)
_GRANULE_RAD = 0.7  # * delay at a granule's middle
_NUCLEOLUS_RAD = (0.26, 0.68)  # * at a nucleolus's
_ROUND_EDGE_UM = 1.0  # standard deviation over which a round cell's edge, of blebs, fades
_GRANULES_PER_UM3 = 0.025
_FINE_UM, _COARSE_UM, _TIP_UM = 0.38, 0.75, 1.5  # sizes (standard deviation) of what is splatted
_TILE = 512  # px of the texture tile
_TILE_UM = 0.4  # side of its pixels


@dataclass(frozen=True)
class Structures:
    """What is where in a field: all (Y, X) float32 arrays unless said otherwise.

    Attributes
    ----------
    path_rad : delay of the light by all but `lifted_rad`.
    lifted_rad : delay by cells in as far as they are round, and their middle is above the dish.
    thickness_um : of all cells.
    membrane : area of both membranes per area of the dish: 2 where the cell is flat, 0 outside.
    nucleus_um : thickness of the nuclei.
    perinuclear_um : thickness of cytoplasm, weighted by exp(-distance from the nucleus / 5 um);
        above and below the nucleus by 0.25, for little lies there.
    granules : 1 at the peak of a granule that stands alone.
    visible : texture of mean 1 inside cells that also roughens the path.
    hidden : patches of mean 1 inside cells that no light path shows.
    along_um : position along the long axis of the pixel's own cell, 0 at its center.
    labels, nuclei : (Y, X) int32 arrays
        The cell of each pixel, of each nuclear pixel; 0 is background. Where cells overlap, a
        nucleus wins, then the thicker one.
    owner : (Y, X) int32 array
        As `labels`, with the pixels that a cell covers by less than half.
    """

    path_rad: Array
    lifted_rad: Array
    thickness_um: Array
    membrane: Array
    nucleus_um: Array
    perinuclear_um: Array
    granules: Array
    visible: Array
    hidden: Array
    along_um: Array
    labels: Array
    nuclei: Array
    owner: Array


class _Canvas:
    """Arrays that cells are drawn into, and spots that are still to be blurred."""

    def __init__(self, shape: tuple[int, int], pixel_um: float) -> None:
        self.shape, self.pixel_um = shape, pixel_um
        self.thickness, self.nucleus, self.perinuclear, self.best = (
            np.zeros(shape, np.float32) for _ in range(4)
        )
        self.path, self.along, self.lifted = (np.zeros(shape, np.float32) for _ in range(3))
        self.visible, self.hidden = np.ones(shape, np.float32), np.ones(shape, np.float32)
        self.labels, self.nuclei, self.owner = (np.zeros(shape, np.int32) for _ in range(3))
        self.spots: dict[str, list[Array]] = {"granule": [], "fine": [], "coarse": [], "tip": []}

    def splat(self, kind: str, sigma_um: float) -> Array:
        """All spots of a kind: Gaussians with the weight as their peak."""
        out = np.zeros(self.shape, np.float32)
        if self.spots[kind]:
            y, x, weight = np.concatenate(self.spots[kind], axis=1)
            _add_bilinear(out, y / self.pixel_um - 0.5, x / self.pixel_um - 0.5, weight)
            sigma = sigma_um / self.pixel_um
            out = cv2.GaussianBlur(out, (0, 0), sigma) * np.float32(2 * math.pi * sigma**2)
        return out


def render(
    cells: Sequence[Cell],
    shape: tuple[int, int],
    pixel_size_um: float,
    *,
    wavelength_um: float = 0.55,
    debris_per_mm2: float = 0.0,
    seed: Seed = 0,
) -> Structures:
    """Draw cells on a field whose corner is (0, 0) micrometers.

    The thickness follows the distance d from the outline, ``1 - exp(-d / 1.6 um)``, with a dome
    over the nucleus, and is scaled so that the cell keeps its volume; a ball has the thickness
    of a ball. The delay is ``2 pi / wavelength`` times index difference times thickness.

    Parameters
    ----------
    cells : sequence of Cell
    shape : (int, int)
        Y, X of the field.
    pixel_size_um, wavelength_um : float
    debris_per_mm2 : float
        Crumbs on the dish, of some micrometers, that only the light path shows.
    seed : int or sequence of int
        Of the debris.

    Returns
    -------
    Structures
    """
    canvas = _Canvas(shape, pixel_size_um)
    for cell in cells:
        _draw(canvas, cell)
    if debris_per_mm2 > 0:
        _scatter_debris(canvas, debris_per_mm2, stream(seed, 1))
    granules = canvas.splat("granule", _FINE_UM)
    path = canvas.path * np.float32(2 * math.pi / wavelength_um)
    path += np.float32(_GRANULE_RAD) * granules
    path += canvas.splat("fine", _FINE_UM)
    path += canvas.splat("coarse", _COARSE_UM)
    path += canvas.splat("tip", _TIP_UM) * np.minimum(canvas.thickness, 1)
    path = np.maximum(path, np.float32(-0.3))
    # a pixel's delay is parted as its thickness is
    lifted = path * (canvas.lifted / np.maximum(canvas.thickness, np.float32(1e-6)))
    path -= lifted
    if canvas.lifted.any():
        lifted = cv2.GaussianBlur(lifted, (0, 0), _ROUND_EDGE_UM / pixel_size_um)
    return Structures(
        path_rad=path,
        lifted_rad=lifted,
        thickness_um=canvas.thickness,
        membrane=_membrane(canvas),
        nucleus_um=canvas.nucleus,
        perinuclear_um=canvas.perinuclear,
        granules=granules,
        visible=canvas.visible,
        hidden=canvas.hidden,
        along_um=canvas.along,
        labels=canvas.labels,
        nuclei=canvas.nuclei,
        owner=canvas.owner,
    )


def _draw(canvas: _Canvas, cell: Cell) -> None:
    pixel = canvas.pixel_um
    outline = outline_um(cell) / pixel  # px; pixel centers lie at halves
    top, left = np.floor(outline.min(0)).astype(int) - 2
    bottom, right = np.ceil(outline.max(0)).astype(int) + 2
    height, width = canvas.shape
    if bottom <= 0 or right <= 0 or top >= height or left >= width:
        return
    inside, depth = _distance(outline - (top, left), (bottom - top, right - left), pixel)
    # coordinates along and across the cell, (Y, 1) and (1, X) -> (Y, X)
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5)[:, None] * pixel - cell.y_um
    x = (np.arange(left, right, dtype=np.float32) + 0.5)[None, :] * pixel - cell.x_um
    cos, sin = np.float32(math.cos(cell.angle_rad)), np.float32(math.sin(cell.angle_rad))
    u, v = cos * x + sin * y, cos * y - sin * x
    along, across = (np.float32(axis) for axis in cell.shown_nucleus_um)
    rho2 = (u / along) ** 2 + (v / across) ** 2
    thickness = _thickness(cell, inside, depth, rho2, u, v, pixel)
    nucleus = np.sqrt(np.maximum(1 - rho2, 0)) * np.minimum(np.float32(2 * across), thickness) * 0.8
    away = np.maximum(np.sqrt(rho2) - 1, 0) * np.sqrt(along * across)
    near = np.exp(away * np.float32(-1 / 5))
    perinuclear = np.maximum(thickness - nucleus, 0) * near
    perinuclear[rho2 < 1] *= np.float32(0.25)
    visible, hidden, folds = _textures(cell, (bottom - top, right - left), pixel, top, left)

    window = np.s_[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    own = np.s_[window[0].start - top : window[0].stop - top, window[1].start - left :]
    own = (own[0], np.s_[own[1].start : window[1].stop - left])
    canvas.thickness[window] += thickness[own]
    canvas.nucleus[window] += nucleus[own]
    canvas.perinuclear[window] += perinuclear[own]
    # organelles gather around the nucleus and thin out along a Gaussian
    organelles = np.exp(-np.square(away[own] * np.float32(1 / _ORGANELLES_UM)))
    rough = visible[own] - 1 + (folds[own] - 1) * _towards(_FOLDS_LAMELLA, organelles)
    # nuclei and balls are smooth
    rough *= np.float32(1 - cell.roundness) * (1 - np.float32(0.7) * (rho2[own] < 1))
    index = np.float32(_CYTOPLASM) * _towards(_LAMELLA, organelles)
    path = thickness[own] * index * (1 + rough) + nucleus[own] * np.float32(_NUCLEUS)
    canvas.path[window] += path
    canvas.lifted[window] += np.float32(cell.roundness) * thickness[own]
    core = (rho2[own] < 1) & (inside[own] > 0)
    whole = inside[own] > 0.5  # a pixel that is covered by less than half is anybody's else first
    rank = inside[own] + whole * (1 + thickness[own]) + 100 * core
    mine = rank > canvas.best[window]
    canvas.best[window][mine] = rank[mine]
    canvas.owner[window][mine] = cell.label
    canvas.along[window][mine] = u[own][mine]
    canvas.visible[window][mine] = visible[own][mine]
    canvas.hidden[window][mine] = hidden[own][mine]
    mine &= whole
    canvas.labels[window][mine] = cell.label
    canvas.nuclei[window][mine] = np.where(core, cell.label, 0)[mine]
    _scatter(canvas, cell, inside, perinuclear, (top, left))


def _towards(lamella: float, organelles: Array) -> Array:
    """From 1, where all organelles are, to `lamella`, where none is."""
    return np.float32(lamella) + np.float32(1 - lamella) * organelles


def _distance(outline: Array, shape: tuple[int, int], pixel: float) -> tuple[Array, Array]:
    """Share of each pixel inside the outline, and depth below it in um; drawn at half pixels."""
    fine = np.zeros((2 * shape[0], 2 * shape[1]), np.uint8)
    # OpenCV: x before y, pixel centers at whole numbers, 4 binary digits after the point
    points = np.rint((2 * outline[:, ::-1] - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(fine, [points], 1, shift=4)
    depth = cv2.distanceTransform(fine, cv2.DIST_L2, 3)
    size = (shape[1], shape[0])
    inside = cv2.resize(fine.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    depth = cv2.resize(depth, size, interpolation=cv2.INTER_AREA) * np.float32(pixel / 2)
    return inside, depth


def _thickness(
    cell: Cell, inside: Array, depth: Array, rho2: Array, u: Array, v: Array, pixel: float
) -> Array:
    """Thickness in um, of the cell's volume."""
    smooth = cv2.GaussianBlur(depth, (0, 0), 0.9 / pixel)
    lamella = 1 - np.exp(smooth * np.float32(-1 / _RIM_UM))
    dome = np.exp(rho2 * np.float32(-0.35))
    thickness = lamella * (1 + np.float32(1.5) * dome) * inside
    total = float(thickness.sum()) * pixel**2
    if total > 0:
        thickness *= np.float32(cell.volume_um3 / total)
    if cell.roundness > 0:
        ball = 2 * np.sqrt(np.maximum(np.float32(cell.ball_um**2) - u**2 - v**2, 0))
        thickness += np.float32(cell.roundness) * (ball * (inside > 0) - thickness)
    return np.asarray(thickness)


def _scatter(
    canvas: _Canvas,
    cell: Cell,
    inside: Array,
    perinuclear: Array,
    corner: tuple[int, int],
) -> None:
    """Granules where cytoplasm is, most of them near the nucleus; nucleoli; droplets; tips.

    Their places are drawn in the cell's own coordinates and kept where the cell is.
    """
    rng = stream(cell.detail, 1)
    n = int(rng.poisson(_GRANULES_PER_UM3 * cell.volume_um3 * 1.6))
    reach = float(cell.arm_um.max()) * (1 - cell.roundness) + cell.ball_um * cell.roundness
    radial = reach * rng.beta(1.3, 2.6, n)
    turn = rng.uniform(0, 2 * math.pi, n)
    flat = max(0.35, cell.soma_um[1] / cell.soma_um[0])
    y, x = _to_field(cell, radial * np.cos(turn), radial * flat * np.sin(turn))
    size, luck = rng.uniform(0.3, 1.0, n), rng.random(n)
    row = np.floor(y / canvas.pixel_um).astype(int) - corner[0]
    column = np.floor(x / canvas.pixel_um).astype(int) - corner[1]
    there = (row >= 0) & (row < inside.shape[0]) & (column >= 0) & (column < inside.shape[1])
    row, column = np.where(there, row, 0), np.where(there, column, 0)
    # a place keeps its granule with a chance that falls with the cytoplasm around it
    there &= luck < np.minimum(perinuclear[row, column] / 2 + 0.12 * (inside[row, column] > 0.9), 1)
    canvas.spots["granule"].append(np.stack([y, x, size])[:, there])

    along, across = cell.shown_nucleus_um
    n_nucleoli = int(rng.integers(1, 5))
    radial, turn = np.sqrt(rng.uniform(0, 0.4, n_nucleoli)), rng.uniform(0, 2 * math.pi, n_nucleoli)
    y, x = _to_field(cell, along * radial * np.cos(turn), across * radial * np.sin(turn))
    canvas.spots["coarse"].append(np.stack([y, x, rng.uniform(*_NUCLEOLUS_RAD, n_nucleoli)]))

    n_drops = int(rng.poisson(5))
    radial, turn = rng.uniform(1.15, 1.9, n_drops), rng.uniform(0, 2 * math.pi, n_drops)
    y, x = _to_field(cell, along * radial * np.cos(turn), across * radial * np.sin(turn))
    weight = np.where(rng.random(n_drops) < 0.5, -0.45, 0.75) * rng.uniform(0.4, 1.0, n_drops)
    canvas.spots["coarse"].append(np.stack([y, x, weight * (1 - 0.5 * cell.roundness)]))

    spread = 1 - cell.roundness
    strength = rng.uniform(0.0, 0.9, cell.arm_um.size) * spread * (cell.tip_um < 4)
    u = (cell.arm_um - 2) * np.cos(cell.arm_angle_rad)
    v = (cell.arm_um - 2) * np.sin(cell.arm_angle_rad)
    y, x = _to_field(cell, u, v)
    canvas.spots["tip"].append(np.stack([y, x, strength]))


def _to_field(cell: Cell, u: Array, v: Array) -> tuple[Array, Array]:
    cos, sin = math.cos(cell.angle_rad), math.sin(cell.angle_rad)
    return cell.y_um + sin * u + cos * v, cell.x_um + cos * u - sin * v


def _scatter_debris(canvas: _Canvas, per_mm2: float, rng: np.random.Generator) -> None:
    """Crumbs: short random walks of fine spots."""
    height, width = (n * canvas.pixel_um for n in canvas.shape)
    for _ in range(int(rng.poisson(per_mm2 * height * width * 1e-6))):
        n = int(rng.geometric(0.2))
        walk = np.cumsum(rng.normal(0, 0.8, (2, n)), axis=1)
        place = np.array([[rng.uniform(0, height)], [rng.uniform(0, width)]]) + walk
        weight = np.full((1, n), rng.uniform(0.05, 0.3) * (1 if rng.random() < 0.85 else -0.7))
        canvas.spots["fine"].append(np.concatenate([place, weight]))


def _add_bilinear(out: Array, y: Array, x: Array, weight: Array) -> None:
    """Add weights at places between pixels; what lies outside is dropped."""
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    for dy, dx, part in (
        (0, 0, (1 - fy) * (1 - fx)),
        (0, 1, (1 - fy) * fx),
        (1, 0, fy * (1 - fx)),
        (1, 1, fy * fx),
    ):
        row, column = y0 + dy, x0 + dx
        keep = (row >= 0) & (row < out.shape[0]) & (column >= 0) & (column < out.shape[1])
        np.add.at(out, (row[keep], column[keep]), (weight * part)[keep].astype(out.dtype))


def _textures(
    cell: Cell, shape: tuple[int, int], pixel: float, top: int, left: int
) -> tuple[Array, ...]:
    """Visible and hidden texture and folds in a cell's window: they turn and move with it."""
    rng = stream(cell.detail, 2)
    start = rng.uniform(0, _TILE, 6)
    cos, sin = math.cos(cell.angle_rad), math.sin(cell.angle_rad)
    scale = pixel / _TILE_UM
    y0 = (top + 0.5) * pixel - cell.y_um
    x0 = (left + 0.5) * pixel - cell.x_um
    made = []
    for k, tile in enumerate(_tiles()):
        # from window pixel (column, row) to tile pixel: along, across
        affine = np.array(
            [
                [cos * scale, sin * scale, (cos * x0 + sin * y0) / _TILE_UM + start[2 * k]],
                [-sin * scale, cos * scale, (cos * y0 - sin * x0) / _TILE_UM + start[2 * k + 1]],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (shape[1], shape[0])
        made.append(cv2.warpAffine(tile, affine, size, flags=flags, borderMode=cv2.BORDER_WRAP))
    return tuple(made)


@lru_cache(maxsize=1)
def _tiles() -> tuple[Array, Array, Array]:
    """Periodic textures of mean 1: fine, coarse and log-normal, folds."""
    rng = stream(0, 3)
    tiles = []
    for sigma_um in ((0.7, 0.7), (2.2, 2.2), _FOLD_UM):
        noise = rng.standard_normal((_TILE, _TILE), np.float32)
        ky, kx = np.fft.fftfreq(_TILE, _TILE_UM), np.fft.rfftfreq(_TILE, _TILE_UM)
        along, across = sigma_um
        low = np.exp(-2 * math.pi**2 * np.add.outer((across * ky) ** 2, (along * kx) ** 2))
        smooth = np.fft.irfft2(np.fft.rfft2(noise) * low, (_TILE, _TILE))
        tiles.append((smooth / smooth.std()).astype(np.float32))
    patches = np.exp(tiles[1])
    return (
        1 + np.float32(_TEXTURE) * tiles[0],
        patches / patches.mean(),
        1 + np.float32(_FOLDS) * tiles[2],
    )


def _membrane(canvas: _Canvas) -> Array:
    """``1 + sqrt(1 + slope**2)``: the flat lower and the sloped upper membrane."""
    step = np.float32(1 / (8 * canvas.pixel_um))
    dy = cv2.Sobel(canvas.thickness, cv2.CV_32F, 0, 1, ksize=3) * step
    dx = cv2.Sobel(canvas.thickness, cv2.CV_32F, 1, 0, ksize=3) * step
    area = 1 + np.sqrt(1 + dy**2 + dx**2)
    return np.asarray(area * (canvas.labels > 0), np.float32)
