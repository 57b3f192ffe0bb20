"""Losses that teach an encoder without labels; z are vectors of views, rows in the same order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cluster_loss", "negative_cosine", "nt_xent", "triplet_loss"]


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Normalized temperature-scaled cross-entropy over all pairs of a batch [1]_.

    With z the 2N vectors of both views and s cosine similarity, the loss of a vector i whose
    other view is j is -log( exp(s_ij / t) / sum over k != i of exp(s_ik / t) ); the mean over
    all 2N. It does not change when vectors are scaled, when the views change places, or when
    the images are put in another order.

    Parameters
    ----------
    a, b : (N, D) tensors
        Two views of the same N images, N at least 2.
    temperature : float
        t, above 0.

    References
    ----------
    .. [1] Chen et al. (2020), ICML, SimCLR, eq. 1, arXiv 2002.05709.
    """
    z = F.normalize(torch.cat([a, b]).float(), dim=1)  # (2N, D)
    with torch.autocast(
        z.device.type, enabled=False
    ):  # in float32 whatever the network's precision
        similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf
    )
    partner = torch.arange(len(z), device=z.device).roll(len(a))
    return F.cross_entropy(similarity, partner)


def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of -cos(predicted, target) over the rows; `target` gets no gradient [1]_.

    References
    ----------
    .. [1] Chen, He (2021), CVPR, SimSiam, eq. 1, doi 10.1109/CVPR46437.2021.01549.
    """
    return -F.cosine_similarity(predicted.float(), target.detach().float(), dim=1).mean()


def triplet_loss(z: tuple[Tensor, Tensor, Tensor], p: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """SimTriplet's loss [1]_ of two views of one patch and one view of a second patch.

    With D `negative_cosine`, within the patch (D(p1, z2) + D(p2, z1)) / 2, and between the
    patches (D(p1, z3) + D(p3, z1)) / 2; their sum, from -2 to 2.

    Parameters
    ----------
    z, p : three (N, D) tensors
        Projections, and what the predictor makes of them; first and second view of a patch,
        then the second patch.

    References
    ----------
    .. [1] Liu et al. (2021), MICCAI, SimTriplet, arXiv 2103.05585.
    """
    within = negative_cosine(p[0], z[1]) + negative_cosine(p[1], z[0])
    between = negative_cosine(p[0], z[2]) + negative_cosine(p[2], z[0])
    return (within + between) / 2


def cluster_loss(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Cluster-level loss of Contrastive Clustering [1]_.

    Of assignment probabilities of two views, the columns, which say whom a cluster holds, take
    the place of vectors in `nt_xent`. Less the entropies of the mean assignments,
    - sum_c P_c log P_c, without which all images would gather in one cluster.

    Parameters
    ----------
    a, b : (N, M) tensors
        Rows sum to 1; M clusters, at least 2.
    temperature : float

    References
    ----------
    .. [1] Li et al. (2021), AAAI 35:8547, eqs. 5-7, doi 10.1609/aaai.v35i10.17037.
    """
    a, b = a.float(), b.float()
    shares = torch.stack([a.mean(dim=0), b.mean(dim=0)])  # (2, M)
    entropy = -torch.xlogy(shares, shares).sum()
    return nt_xent(a.T, b.T, temperature) - entropy
