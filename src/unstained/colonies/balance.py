"""Pseudo-labels into sampling weights, and estimates of the class prior; NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from ..errors import InputError
from ..images.image import Array

__all__ = [
    "PriorEstimate",
    "adaptive_thresholds",
    "align",
    "balancing_weights",
    "em_prior",
    "geometric_mean",
]


def balancing_weights(
    shares: npt.ArrayLike,
    *,
    temperature: float = 1.0,
    floor: float = 0.0,
    cap: float = math.inf,
) -> Array:
    """Sampling weight of an item of each class, from the classes' shares of the pseudo-labels.

    w_k = max(share_k, floor)^-temperature for classes that have pseudo-labels, at most `cap` times
    the least weight of them, scaled so that the expected weight of an item, sum share_k w_k, is 1.
    A class without pseudo-labels has weight 0: there is nothing of it to draw. With
    temperature 1, no floor and no cap every class that has pseudo-labels is drawn equally
    often, as in Iterative Pseudo Balancing [1]_.

    Parameters
    ----------
    shares : (K,) array
        Counts or shares, not negative; need not sum to 1.
    temperature : float
        0 draws all items alike.
    floor : float
        In shares: 0 to 1.
    cap : float
        1 or more; infinite for none.

    Returns
    -------
    (K,) float64 array
        All 0 where there are no pseudo-labels at all.

    Raises
    ------
    InputError
        Negative or not finite shares, or settings out of range.

    References
    ----------
    .. [1] Witmer, Bhanu (2024), Sci. Rep. 14, Algorithm 1.
    """
    share = np.asarray(shares, np.float64)
    if share.ndim != 1 or not np.isfinite(share).all() or (share < 0).any():
        raise InputError(f"shares {share.tolist()}", "give one number a class, none negative")
    if temperature < 0 or not 0 <= floor <= 1 or cap < 1:
        raise InputError(
            f"temperature {temperature}, floor {floor}, cap {cap}",
            "give a temperature of 0 or more, a floor of 0 to 1, a cap of 1 or more",
        )
    weight = np.zeros_like(share)
    there = share > 0
    if not there.any():
        return weight
    share = share / share.sum()
    weight[there] = np.maximum(share[there], floor) ** -temperature
    weight[there] = np.minimum(weight[there], cap * weight[there].min())
    return np.asarray(weight / (share @ weight))


def em_prior(
    probabilities: npt.ArrayLike, trained_prior: npt.ArrayLike, *, rounds: int = 100
) -> Array:
    """Class prior of unlabelled images by expectation maximization [1]_.

    pi_k <- mean_i [ p_ik pi_k / q_k / sum_j p_ij pi_j / q_j ], where q is the prior that the
    classifier was trained under, until it moves by less than 1e-6. It finds the shares exactly
    where p is calibrated.

    Parameters
    ----------
    probabilities : (N, K) array
        p(class | image) of the classifier.
    trained_prior : (K,) array
        Shares of the classes in its training batches.
    rounds : int

    Returns
    -------
    (K,) float64 array
        Sums to 1.

    References
    ----------
    .. [1] Saerens, Latinne, Decaestecker (2002), Neural Comput. 14:21.
    """
    p = np.asarray(probabilities, np.float64)
    q = np.maximum(np.asarray(trained_prior, np.float64), 1e-12)
    prior = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(rounds):
        joint = p * (prior / q)
        new = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
        if np.abs(new - prior).max() < 1e-6:
            return np.asarray(new)
        prior = new
    return np.asarray(prior)


@dataclass
class PriorEstimate:
    """A running mean of the unlabelled images' class shares.

    `share` starts even; each `update` moves it by `rate` towards what was seen, and the first one
    all the way.
    """

    share: Array
    rate: float = 0.5
    seen: int = 0

    def update(self, shares: npt.ArrayLike) -> Array:
        """Take in the shares of an epoch, and give the mean."""
        now = np.asarray(shares, np.float64)
        rate = self.rate if self.seen else 1.0
        self.share = (1 - rate) * self.share + rate * now / max(now.sum(), 1e-300)
        self.seen += 1
        return self.share


def align(probabilities: npt.ArrayLike, target: npt.ArrayLike, running: npt.ArrayLike) -> Array:
    """Distribution alignment [1]_: p_k target_k / running_k, each row summing to 1.

    Parameters
    ----------
    probabilities : (N, K) array
    target, running : (K,) arrays
        The shares that predictions ought to have, and the shares that they have.

    References
    ----------
    .. [1] Berthelot et al. (2020), ICLR, ReMixMatch, section 3.1.
    """
    ratio = np.asarray(target, np.float64) / np.maximum(np.asarray(running, np.float64), 1e-6)
    moved = np.asarray(probabilities, np.float64) * ratio
    return np.asarray(moved / np.maximum(moved.sum(axis=1, keepdims=True), 1e-300))


def geometric_mean(a: npt.ArrayLike, b: npt.ArrayLike, weight: float = 0.5) -> Array:
    """``a^(1 - weight) b^weight`` of (N, K) probabilities, scaled so that each row sums to 1.

    The opinion that is nearest to both in the Kullback-Leibler sense, weighted so.
    """
    first, second = (np.log(np.maximum(np.asarray(p, np.float64), 1e-12)) for p in (a, b))
    return np.asarray(softmax((1 - weight) * first + weight * second, axis=1))


def adaptive_thresholds(threshold: float, labels: Array, confidence: Array, k: int) -> Array:
    """Confidence that each class needs: lower for classes that are learned worse [1]_.

    With n_k the confident pseudo-labels of class k and b_k = n_k / max_j n_j, the threshold
    is `threshold` * b_k / (2 - b_k), FlexMatch's convex mapping, and not below 1 / K.

    Parameters
    ----------
    threshold : float
    labels, confidence : (N,) arrays
    k : int
        Classes.

    Returns
    -------
    (K,) float64 array

    References
    ----------
    .. [1] Zhang et al. (2021), NeurIPS, FlexMatch, eqs. 5-7, 11.
    """
    count = np.bincount(labels[confidence >= threshold], minlength=k).astype(np.float64)
    if not count.any():
        return np.full(k, threshold)
    share = count / count.max()
    return np.asarray(np.maximum(threshold * share / (2 - share), min(threshold, 1 / k)))
