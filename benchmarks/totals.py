"""How much DNA does a cell of `mlcp` have? Kernel regression of totals on hand-crafted features.

    python benchmarks/totals.py [--planes 2]

A second opinion on virtual staining, with no network: 306 features a plane (those of
`colonies --method features`), kernel ridge regression of each cell's total. Where both come to
the same correlation, what lacks is in the images rather than in the method.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.kernel_ridge import KernelRidge

from unstained.colonies.features import patch_features
from unstained.colonies.views import Normalizer
from unstained.images import load_pairs
from unstained.staining.totals import tile_total
from unstained.statistics import Response, resampled_interval, unfold

Array = np.ndarray[Any, Any]
_PENALTY, _GAMMA = 0.3, 0.05  # among four, by r in folds of experiment_1
_LARGEST_Z = 4.0  # standardized features beyond count as this


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=2, help="1: brightfield; 2: and darkfield")
    planes = parser.parse_args().planes
    fields = load_pairs("mlcp").fields()
    images = np.stack([f.read_phase()[:planes] for f in fields]).astype(np.float32)
    total = np.array([tile_total(f.read_stain("DNA")) for f in fields])
    fold = np.array([int(f.row["fold"] or -1) for f in fields])
    phase = np.array([f.row["phase_of_cycle"] for f in fields])
    first, second = np.flatnonzero(fold >= 0), np.flatnonzero(fold < 0)
    x = patch_features(Normalizer.fit(images[first])(images).numpy())

    held_out = np.empty(len(total))
    for k in range(10):
        test = first[fold[first] == k]
        held_out[test] = _predicted(x, total, np.setdiff1d(first, test), test)
    _say("ten folds of experiment_1", held_out[first], total[first])
    for name in ("g1", "s", "g2"):
        some = first[phase[first] == name]
        _say(f"  within {name}", held_out[some], total[some])
    inside = np.empty(len(total))
    for k in range(5):
        test = second[np.arange(second.size) * 5 // second.size == k]
        inside[test] = _predicted(x, total, np.setdiff1d(second, test), test)
    _say("five parts of experiment_2", inside[second], total[second])
    across = _predicted(x, total, first, second)
    _say("experiment_1 to experiment_2", across, total[second])
    response = Response.fit(total[first, None], held_out[first, None])
    weights = unfold(across[:, None], total[first, None], response).weights
    across = _predicted(x, total, first, second, weights)
    _say("  weighted for experiment_2", across, total[second])
    only = first[phase[first] == "g1"]
    _say("  from its G1 cells alone", _predicted(x, total, only, second), total[second])


def _predicted(
    x: Array, total: Array, learn: Array, test: Array, weights: Array | None = None
) -> Array:
    """Totals of the cells `test`, learned from others."""
    weight = (
        np.ones(learn.size) if weights is None else np.maximum(weights, 1e-4)
    )  # 0 would be no row of the system
    mean, sd = x[learn].mean(axis=0), x[learn].std(axis=0) + 1e-6
    z = np.clip((x - mean) / sd, -_LARGEST_Z, _LARGEST_Z)
    level = np.average(total[learn], weights=weight)
    scale = total[learn].std()
    model = KernelRidge(alpha=_PENALTY, kernel="rbf", gamma=_GAMMA / x.shape[1])
    model.fit(z[learn], (total[learn] - level) / scale, sample_weight=weight)
    return np.asarray(level + scale * model.predict(z[test]))


def _say(name: str, predicted: Array, true: Array) -> None:
    pairs = np.column_stack([predicted, true])
    found = resampled_interval(pairs, lambda p: float(np.corrcoef(p.T)[0, 1]))
    print(f"| {name} | {len(true)} | {found.estimate:.3f} ({found.low:.3f} - {found.high:.3f}) |")


if __name__ == "__main__":
    main()
