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
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["FEWEST_KNOWN", "Response", "effective_number", "unfold"]

Array = np.ndarray[Any, Any]

FEWEST_KNOWN = 50
"""Known amounts with their predictions, from which a response can be measured."""

_NEIGHBORS = 0.1  # share of the known amounts that tell bias and spread at one of them
_FEWEST_NEIGHBORS = 20
_AT_ONCE = 4_000_000  # elements of the (T, N) likelihood held in memory


@dataclass(frozen=True)
class Response:
    """How predictions scatter around known amounts, fitted by `fit`.

    Attributes
    ----------
    true, predicted : (V, M) float64 arrays
        Of V cells that the model did not learn from, and M markers; each column ordered by `true`.
    """

    true: Array
    predicted: Array

    @classmethod
    def fit(cls, true: Array, predicted: Array) -> Response:
        """From (V, M) known amounts and their predictions.

        Raises
        ------
        InputError
            Shapes differ, values are not finite, there are fewer than `FEWEST_KNOWN`, or all
            amounts of a marker are equal.
        """
        x, y = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
        if x.ndim != 2 or x.shape != y.shape:
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
        return cls(np.take_along_axis(x, order, 0), np.take_along_axis(y, order, 0))

    def at(self, amounts: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the predictions of (N, M) amounts, (N, M) each.

        At each amount, from the tenth of the known cells (20 at least) whose amounts are nearest in
        rank: amount + mean of (predicted - true), and its spread.
        """
        count = min(len(self.true), max(_FEWEST_NEIGHBORS, round(_NEIGHBORS * len(self.true))))
        away = self.predicted - self.true
        mean, sd = np.empty(amounts.shape), np.empty(amounts.shape)
        least = 1e-3 * self.true.std(axis=0)  # a faultless model would leave no width to smooth by
        for m in range(amounts.shape[1]):
            rank = np.searchsorted(self.true[:, m], amounts[:, m])
            first = np.clip(rank - count // 2, 0, len(self.true) - count)
            window = np.lib.stride_tricks.sliding_window_view(away[:, m], count)[first]  # (N, W)
            mean[:, m] = amounts[:, m] + window.mean(axis=1)
            sd[:, m] = np.maximum(window.std(axis=1), least[m])
        return mean, sd


def unfold(predicted: Array, amounts: Array, response: Response, *, iterations: int = 4) -> Array:
    """Weights of known cells that make their mix the one that new predictions come from.

    With L[t, n] the likelihood of prediction t for a cell of the amount n (a Gaussian of the
    response, markers taken as independent) and weights w that start as 1 / N, each iteration is

        w[n] <- w[n] mean_t( L[t, n] / sum_k L[t, k] w[k] ),

    the expectation maximization of the mix. Few iterations keep it smooth (four are customary,
    see [3]_): run to the end it breaks into spikes. What the known cells lack, it cannot find.

    Parameters
    ----------
    predicted : (T, M) array
        Predicted amounts of the new cells.
    amounts : (N, M) array
        Known amounts of cells that may be weighted.
    response : Response
    iterations : int
        One or more.

    Returns
    -------
    (N,) float64 array
        Mean 1.

    Raises
    ------
    InputError
        No new cells, or values that are not finite.

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
    weight = np.full(len(known), 1 / len(known))
    for _ in range(iterations):
        gain = np.zeros(len(known))
        for start in range(0, len(new), max(1, _AT_ONCE // len(known))):
            block = new[start : start + max(1, _AT_ONCE // len(known))]
            z = (block[:, None, :] - mean) / sd  # (T, N, M)
            log = -0.5 * (z**2).sum(axis=2) - np.log(sd).sum(axis=1)
            likelihood = np.exp(log - log.max(axis=1, keepdims=True))
            gain += (likelihood / (likelihood @ weight)[:, None]).sum(axis=0)
        weight *= gain / len(new)
    return np.asarray(weight / weight.mean())


def effective_number(weights: npt.ArrayLike) -> float:
    """(sum w)^2 / sum w^2: of how many equally weighted cells they are worth (Kish 1965)."""
    w = np.asarray(weights, np.float64)
    return float(w.sum() ** 2 / (w**2).sum()) if w.any() else 0.0
