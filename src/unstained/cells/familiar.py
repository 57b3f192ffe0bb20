"""Is a cell like those that a model was trained on? Those that are not are flagged, not guessed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..cell_table import label_free_features
from ..errors import DataError, FileError, InputError
from ..images.image import Array
from ..images.saved import from_saved
from .measuring import Measuring, check_measuring, measuring_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

__all__ = ["Reference", "Strangeness", "fit_reference", "flag_strange"]


FLAGS = ("strangeness", "familiar_p", "outside")
"""Columns that `flag_strange` adds."""

_PRESENT = 0.99  # share of the reference that must have a feature
_MAD_TO_SD = 1.4826  # of a normal distribution
_ROUNDING = 1e-6  # of an inverse that was computed, as a share of its largest entry


class Strangeness(NamedTuple):
    """How far cells lie from the reference.

    Attributes
    ----------
    distance : (N,) float64 array
        NaN where a feature is not known.
    p : (N,) float64 array
        Share of the reference's held-out cells that are at least as far; NaN as `distance`.
    outside : (N,) bool array
        p below the level, or not known.
    """

    distance: Array
    p: Array
    outside: Array


@dataclass(frozen=True)
class Reference:
    """What familiar cells look like, label-free; saved as JSON.

    Attributes
    ----------
    features : tuple of str
    median, scale : (F,) float64 arrays
        z = (x - median) / scale, with 1.4826 x the median absolute deviation as scale.
    center : (F,) float64 array
        Mean of z.
    precision : (F, F) float64 array
        Inverse of the covariance of z, shrunk towards a multiple of the identity.
    held_out : (n,) float64 array
        Distances of cells that gave none of the above, ascending.
    level : float
        Share of familiar cells that are flagged by mistake.
    cells : str
        Whose cells they are, for people: those that the model was trained on, or others.
    measured : Measuring or None
        How they were measured; None: not known.
    """

    features: tuple[str, ...]
    median: Array
    scale: Array
    center: Array
    precision: Array
    held_out: Array
    level: float
    cells: str = "cells"
    measured: Measuring | None = None

    def distance(self, looks: pd.DataFrame) -> Array:
        """Mahalanobis distance of each cell, (N,); NaN where a feature is not finite.

        Raises
        ------
        DataError
            The cells lack a feature.
        """
        missing = [name for name in self.features if name not in looks.columns]
        if missing:
            raise DataError(
                f"the cells have no {', '.join(missing)}, which the reference looks at",
                "measure them with the label-free image and the same features",
            )
        z = (looks[list(self.features)].to_numpy(np.float64) - self.median) / self.scale
        off = z - self.center
        return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", off, self.precision, off)))

    def judge(self, looks: pd.DataFrame) -> Strangeness:
        """Distance, conformal p and flag of each cell.

        p = (1 + held-out cells at least as far) / (1 + held-out cells): at most a share `level` of
        cells that are exchangeable with the reference's gets p < level [1]_.

        References
        ----------
        .. [1] Bates et al. (2023), Ann Stat 51:149, doi 10.1214/22-AOS2244.
        """
        distance = self.distance(looks)
        n = self.held_out.size
        farther = n - np.searchsorted(self.held_out, distance, side="left")
        p = np.where(np.isfinite(distance), (1 + farther) / (1 + n), np.nan)
        return Strangeness(distance, p, ~(p >= self.level))

    def check(self, now: Measuring | None) -> tuple[str, ...]:
        """Refuse cells with another background, where the reference looks at grey values.

        Returns
        -------
        tuple of str
            A note where it is not known how the cells, or those of the reference, were measured.

        Raises
        ------
        DataError
            The background was another.
        """
        if not any(name.startswith("image") for name in self.features):
            return ()
        return check_measuring(self.measured, now, "the reference's grey values", pixels=False)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON."""
        from ..images.atomic import write_json

        what = "looks of the cells that others are compared with"
        return write_json(path, {"what": what, **asdict(self)})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Reference:
        """What `write` wrote.

        Raises
        ------
        FileError
            It is not there, no such file, or has values that no reference can have.
        """
        try:
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            numbers, rows = tuple[float, ...], tuple[tuple[float, ...], ...]
            kinds: dict[str, Any] = dict.fromkeys(
                ("median", "scale", "center", "held_out"), numbers
            )
            kinds["precision"] = rows
            arrays = {
                name: np.asarray(from_saved(kind, saved[name], name), np.float64)
                for name, kind in kinds.items()
            }
            reference = cls(
                from_saved(tuple[str, ...], saved["features"], "features"),
                **arrays,
                level=from_saved(float, saved["level"], "level"),
                cells=from_saved(str, saved.get("cells", cls.cells), "cells"),
                measured=Measuring.from_json(saved.get("measured")),
            )
            reference._check_values()
            return reference
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"cannot be read as a reference ({error})",
                "make one: unstained cells agree PREDICTED.h5ad MEASURED.h5ad --out DIR",
                file=path,
            ) from error

    def _check_values(self) -> None:
        """ValueError where the values would give a wrong distance or p."""
        n = len(self.features)
        of_each = {name: getattr(self, name) for name in ("median", "scale", "center")}
        shapes = {name: values.shape for name, values in of_each.items()}
        if not n or set(shapes.values()) != {(n,)} or self.precision.shape != (n, n):
            raise ValueError(f"{n} features, {shapes}, precision {self.precision.shape}")
        if not (self.scale > 0).all():
            raise ValueError("a scale is not above 0")
        largest = np.abs(self.precision).max()
        if not np.allclose(self.precision, self.precision.T, rtol=0, atol=_ROUNDING * largest):
            raise ValueError("precision is not symmetric")
        if np.linalg.eigvalsh(self.precision)[0] <= 0:  # a distance would be NaN, or 0
            raise ValueError("precision is not positive definite")
        if not self.held_out.size or (np.diff(self.held_out) < 0).any():
            raise ValueError("held_out is empty or does not ascend")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level:g}, no share between 0 and 1")


def fit_reference(
    looks: pd.DataFrame,
    level: float = 0.01,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Reference:
    """Learn what cells look like, from half of them; the others say how far is far.

    Robustly standardized, then the Mahalanobis distance with a covariance shrunk as by [1]_. One
    cloud is assumed: where the reference has several kinds of cells, what lies between them is
    taken for familiar. Features that fewer than 99 % of the cells have, or that are constant, are
    left out, and then cells without all features.

    Parameters
    ----------
    looks : (N, F) DataFrame
        Of `label_free_features`.
    level : float
        Share of familiar cells that may be flagged, 0 ... 1.
    groups : (N,) array, optional
        Whole groups go to one of the halves, so that how far new groups lie from known ones is
        part of what is familiar.
    seed : int
        Of the halves.

    Raises
    ------
    InputError
        Level outside 0 to 1, or groups of another length.
    DataError
        No feature that varies, or too few cells: at least 2 F, and 1 / `level` held out, or no p
        could be that small.

    References
    ----------
    .. [1] Ledoit, Wolf (2004), J Multivar Anal 88:365, doi 10.1016/S0047-259X(03)00096-4.
    """
    from sklearn.covariance import ledoit_wolf

    if not 0 < level < 1:
        raise InputError(f"level {level}", "give a share between 0 and 1, such as 0.01")
    group = np.arange(len(looks)) if groups is None else np.asarray(groups).astype(str)
    if group.shape != (len(looks),):
        raise InputError(f"{group.shape} groups for {len(looks)} cells", "give one for each")
    value = looks.to_numpy(np.float64)
    kept = np.isfinite(value).mean(axis=0) >= _PRESENT if len(value) else np.zeros(0, bool)
    whole = np.isfinite(value[:, kept]).all(axis=1) if kept.any() else np.zeros(len(value), bool)
    value, group = value[whole], group[whole]
    fitted = _half(group, seed)
    names = np.flatnonzero(kept)
    scale = np.array([_spread(value[fitted, i]) for i in names])
    names, scale = names[scale > 0], scale[scale > 0]
    if not names.size:
        raise DataError("no feature varies among the cells", "give cells with shape and image")
    n_fit, n_held = int(fitted.sum()), int((~fitted).sum())
    # p is at least 1 / (1 + n), and has to get below the level
    least_held = int(np.floor(1 / level - 1 + 1e-9)) + 1
    if n_fit < 2 * names.size or n_held < least_held:
        raise DataError(
            f"{n_fit} cells to learn from and {n_held} held out",
            f"give at least {2 * names.size} and {least_held}, for level {level:g}",
        )
    median = np.median(value[fitted][:, names], axis=0)
    z = (value[fitted][:, names] - median) / scale
    covariance, _ = ledoit_wolf(z)
    reference = Reference(
        tuple(str(name) for name in looks.columns[names]),
        median,
        scale,
        z.mean(axis=0),
        np.linalg.inv(covariance),
        np.zeros(0),
        level,
    )
    rest = looks.loc[whole].loc[~fitted]
    held_out = np.sort(reference.distance(rest))
    return replace(reference, held_out=held_out)


def flag_strange(cells: AnnData, reference: Reference) -> AnnData:
    """The cells with the columns `strangeness` (the distance), `familiar_p` and `outside`.

    For cells of predicted stains: what a model says of a cell that is `outside` is a guess, so
    that the totals and all layers of its markers become NaN, which every summary leaves out. Its
    shape and its label-free values stay. For real stains, `Reference.judge` flags and takes
    nothing away.

    Raises
    ------
    DataError
        The cells lack a feature of the reference, or it has grey values from which another
        background was subtracted.
    """
    reference.check(measuring_of(cells))
    found = reference.judge(label_free_features(cells))
    out = cells.copy()
    out.obs["strangeness"] = found.distance
    out.obs["familiar_p"] = found.p
    out.obs["outside"] = found.outside
    guessed = np.ix_(found.outside, (cells.var["kind"] == "marker").to_numpy(bool))
    out.X = _without(out.X, guessed)
    for name in set(out.layers) - {"background"}:
        out.layers[name] = _without(out.layers[name], guessed)
    about = {"cells": reference.cells, "level": reference.level}
    out.uns["unstained"] = {**dict(out.uns.get("unstained", {})), "reference": about}
    return out


def _without(values: Any, at: tuple[Array, ...]) -> Array:
    kept = np.array(values, np.float32)
    kept[at] = np.nan
    return kept


def _half(group: Array, seed: int) -> Array:
    """(N,) bool: the cells of a half of the groups; with one group, half of its cells."""
    names = np.unique(group)
    if names.size == 1:
        names = group = np.arange(group.size)
    chosen = np.random.default_rng(seed).permutation(names)[: -(-names.size // 2)]
    return np.isin(group, chosen)


def _spread(values: Array) -> float:
    """1.4826 x the median absolute deviation; sd where half of the values are equal."""
    if not values.size:
        return 0.0
    mad = float(np.median(np.abs(values - np.median(values))))
    return _MAD_TO_SD * mad if mad > 0 else float(values.std())
