"""How common is each amount among cells of which only predictions are known?

A model that learned from one mix of cells predicts another mix badly, even if each kind of cell
looks the same in both: of a cell that could be of two kinds, it expects the kind that was common in
training. This is label shift [1]_. The new mix can be found without one label: predictions
of known amounts tell how predictions scatter, and the distribution of amounts whose scattered
predictions look like those of the new cells is found by iterated unfolding [2]_, [3]_.

References
----------
.. [1] Lipton, Wang, Smola (2018), ICML, Detecting and correcting for label shift.
.. [2] Richardson (1972), J Opt Soc Am 62:55, doi 10.1364/JOSA.62.000055.
.. [3] D'Agostini (1995), Nucl Instrum Meth A 362:487, doi 10.1016/0168-9002(95)00274-X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..images.image import Array

__all__ = ["FEWEST_KNOWN", "Response", "Unfolded", "effective_number", "unfold"]


FEWEST_KNOWN = 50
"""Known amounts with their predictions, from which a response can be measured."""

_NEIGHBORS = 0.1  # share of the known amounts that tell bias and spread at one of them
_FEWEST_NEIGHBORS = 20
_SHRINKAGE = 0.1  # of the markers' correlation towards none, lest chance make it singular
_FARTHEST_SD = 4.0  # a prediction farther from all known amounts comes from none of them
_AT_ONCE = 4_000_000  # numbers held in memory


@dataclass(frozen=True)
class Response:
    """How predictions scatter around known amounts; made by `fit`.

    Attributes
    ----------
    amounts : (V, M) float64 array
        Each column ascending.
    center, slope, sd : (K, M), (K, M), (K, M) float64 arrays
        Of each window of neighbors in that order: mean of the predictions less `slope` times
        the mean of the amounts, slope of predictions on amounts, spread around the line.
    correlation : (M, M) float64 array
        Of the markers' errors: heads of one network err together.
    """

    amounts: Array
    center: Array
    slope: Array
    sd: Array
    correlation: Array

    @classmethod
    def fit(cls, true: Array, predicted: Array) -> Response:
        """From (V, M) known amounts and their predictions.

        Around each amount a line through its neighbors, a tenth of all and 20 at least: a model
        that draws all to the middle has a slope below 1, which a mere offset would miss at
        the tails.

        Raises
        ------
        InputError
            Shapes differ, values are not finite, there are fewer than `FEWEST_KNOWN`, or all
            amounts of a marker are equal.
        """
        x, y = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
        if x.ndim != 2 or x.shape != y.shape or not x.shape[1]:
            raise InputError(f"amounts {x.shape}, predictions {y.shape}", "give (V, M) of both")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InputError("amounts that are not finite", "leave those images out")
        if len(x) < FEWEST_KNOWN:
            raise InputError(
                f"{len(x)} known amounts; how predictions scatter takes {FEWEST_KNOWN}",
                "give more validation pairs",
            )
        if (np.ptp(x, axis=0) == 0).any():
            raise InputError("all known amounts of a marker are equal", "give pairs that differ")
        order = np.argsort(x, axis=0, kind="stable")
        lines = [_lines(x[o, m], y[o, m]) for m, o in enumerate(order.T)]
        center, slope, sd = (np.stack(part, axis=1) for part in zip(*lines, strict=True))
        rough = cls(np.take_along_axis(x, order, 0), center, slope, sd, np.eye(x.shape[1]))
        mean, spread = rough.at(x)
        error = (y - mean) / spread
        error /= np.maximum(np.sqrt((error**2).mean(axis=0)), 1e-12)
        correlation = (1 - _SHRINKAGE) * error.T @ error / len(x)
        np.fill_diagonal(correlation, 1.0)
        return cls(rough.amounts, center, slope, sd, correlation)

    def at(self, amounts: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the predictions of (N, M) amounts, (N, M) each."""
        count = len(self.amounts) - len(self.center) + 1
        mean, sd = np.empty(amounts.shape), np.empty(amounts.shape)
        for m in range(amounts.shape[1]):
            ends = [np.searchsorted(self.amounts[:, m], amounts[:, m], s) for s in _SIDES]
            first = np.clip((ends[0] + ends[1]) // 2 - count // 2, 0, len(self.center) - 1)
            mean[:, m] = self.center[first, m] + self.slope[first, m] * amounts[:, m]
            sd[:, m] = self.sd[first, m]
        return mean, sd


_SIDES: tuple[Any, ...] = ("left", "right")


def _lines(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Center, slope and spread of every window of (V,) amounts, ascending, and predictions."""
    count = min(len(x), max(_FEWEST_NEIGHBORS, round(_NEIGHBORS * len(x))))
    u, v = (
        np.lib.stride_tricks.sliding_window_view(a, count) for a in (x - x.mean(), y - y.mean())
    )  # (K, W) views
    mean_u, mean_v = u.mean(axis=1), v.mean(axis=1)
    var_u = np.maximum((u**2).mean(axis=1) - mean_u**2, 0)
    cov = (u * v).mean(axis=1) - mean_u * mean_v
    flat = var_u <= 1e-12 * x.var()  # equal amounts: no slope
    slope = np.where(flat, 0, cov / np.where(flat, 1, var_u))
    left = (v**2).mean(axis=1) - mean_v**2 - slope * cov
    least = 1e-3 * x.std()  # a faultless model would leave no width to smooth by
    sd = np.maximum(np.sqrt(np.maximum(left, 0) * count / (count - 2)), least)
    return y.mean() + mean_v - slope * (x.mean() + mean_u), slope, sd


class Unfolded(NamedTuple):
    """The mix that new predictions come from.

    Attributes
    ----------
    weights : (N,) float64 array
        Of the known cells; mean 1.
    familiar : (T,) bool array
        New cells whose prediction some known amount explains; the others have no say.
    """

    weights: Array
    familiar: Array


def unfold(
    predicted: Array, amounts: Array, response: Response, *, iterations: int = 4
) -> Unfolded:
    """Weights of known cells that make their mix the one that new predictions come from.

    With L[t, n] the likelihood of prediction t for a cell of the amount n (a Gaussian of the
    response) and weights w that start as 1 / N, each iteration is

        w[n] <- w[n] mean_t( L[t, n] / sum_k L[t, k] w[k] ),

    the expectation maximization of the mix. Few iterations keep it smooth and somewhat like the
    old mix, the more so the less a prediction tells; run to the end it breaks into spikes. Four
    are the default of the program RooUnfold. What the known cells lack, it cannot find.

    Parameters
    ----------
    predicted : (T, M) array
        Predicted amounts of the new cells.
    amounts : (N, M) array
        Known amounts of cells that may be weighted.
    response : Response
    iterations : int
        One or more.

    Raises
    ------
    InputError
        No new cells, values that are not finite, or no new cell within 4 SD of a known amount.

    Notes
    -----
    Valid where the shift is one of labels: cells of one amount look alike in both mixes.
    Another lamp, focus or cell type is another shift, which this does not mend.
    """
    new, known = np.asarray(predicted, np.float64), np.asarray(amounts, np.float64)
    if not len(new) or not np.isfinite(new).all() or not np.isfinite(known).all():
        raise InputError(
            f"{len(new)} predictions, of which {int((~np.isfinite(new)).sum())} are not finite",
            "give at least one, and finite amounts",
        )
    if iterations < 1:
        raise InputError(f"iterations is {iterations}", "give 1 or more")
    mean, sd = response.at(known)
    # z' C^-1 z is the squared length of L^-1 z, where C = L L'
    whiten = np.linalg.inv(np.linalg.cholesky(response.correlation)).T
    width = np.log(sd).sum(axis=1)
    step = max(1, _AT_ONCE // known.size)

    def distances(block: Array) -> Array:  # (t, M) to (t, N), squared
        return np.asarray(((((block[:, None] - mean) / sd) @ whiten) ** 2).sum(axis=2))

    blocks = [new[start : start + step] for start in range(0, len(new), step)]
    nearest = np.concatenate([distances(block).min(axis=1) for block in blocks])
    familiar = nearest <= _FARTHEST_SD**2 + known.shape[1] - 1
    if not familiar.any():
        raise InputError(
            f"none of {len(new)} predictions is near a known amount",
            "use images of the microscope, focus and kind of cells of the pairs",
        )
    blocks = np.array_split(new[familiar], -(-int(familiar.sum()) // step))
    weight = np.full(len(known), 1 / len(known))
    for _ in range(iterations):
        gain = np.zeros(len(known))
        for block in blocks:
            log = -0.5 * distances(block) - width
            likelihood = np.exp(log - log.max(axis=1, keepdims=True))
            gain += (likelihood / (likelihood @ weight)[:, None]).sum(axis=0)
        weight *= gain / familiar.sum()
    return Unfolded(weight / weight.mean(), familiar)


def effective_number(weights: npt.ArrayLike) -> float:
    """(sum w)^2 / sum w^2: of how many equally weighted cells they are worth (Kish 1965)."""
    w = np.asarray(weights, np.float64)
    return float(w.sum() ** 2 / (w**2).sum()) if w.any() else 0.0
