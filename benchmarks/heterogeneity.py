"""How often the 95 % intervals of `unstained heterogeneity` hold what is true by construction.

    python benchmarks/heterogeneity.py [--repeats 100] [--draws 4000]

Tables of cells are drawn from normal distributions with given shares of the variance, given
differences between media and given correlations of a marker with a shape feature; donors differ
in both. Each row of the tables that are printed is one design. Beside each way that takes the
donor or the well as the unit stands what comes of taking cells as independent. The last line
compares the rule for phenotypes with the simulator's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from skimage.measure import regionprops

from unstained.heterogeneity.effects import hedges_g
from unstained.heterogeneity.factors import compare_factor
from unstained.heterogeneity.marker_shape import correlations, orthogonality
from unstained.heterogeneity.phenotypes import agreement, phenotype_rule
from unstained.heterogeneity.variance import variance_shares
from unstained.simulate import Movie, MovieSettings

LEVELS = ("donor", "passage", "well", "cell")
PASSAGES, WELLS, CELLS = 3, 2, 15  # of each donor, passage, well
SHARES = (
    (4, (0.33, 0.17, 0.08, 0.42)),
    (6, (0.33, 0.17, 0.08, 0.42)),
    (12, (0.33, 0.17, 0.08, 0.42)),
    (12, (0.05, 0.05, 0.05, 0.85)),
)
PHENOTYPES = {"spindle": "SS", "star": "RS", "flat": "FC"}


def nested_cells(
    donors: int, shares: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(N,) values with a variance of 1 that the levels share, and the level of each cell."""
    well = np.repeat(np.arange(donors * PASSAGES * WELLS), CELLS)
    code = {"donor": well // (PASSAGES * WELLS), "passage": well // WELLS, "well": well}
    y = rng.normal(0, np.sqrt(shares[-1]), well.size)
    for share, of in zip(shares, code.values(), strict=False):
        y += rng.normal(0, np.sqrt(share), of.max() + 1)[of]
    return y, code


def variance(repeats: int, draws: int) -> None:
    """Shares of the variance."""
    print("\n| donors | level | true | found, mean (SD) | interval, mean | coverage |")
    print("|---|---|---|---|---|---|", flush=True)
    for donors, shares in SHARES:
        found = []
        for seed in range(repeats):
            y, code = nested_cells(donors, shares, np.random.default_rng((seed, donors)))
            table = variance_shares(y, code, draws=draws, seed=seed)
            found.append(table[["share", "low", "high"]].to_numpy())
        share, low, high = np.moveaxis(np.array(found), -1, 0)  # (R, L, 3) -> 3 of (R, L)
        held = (low <= shares) & (np.array(shares) <= high)
        for i, level in enumerate(LEVELS):
            print(
                f"| {donors} | {level} | {shares[i]:.2f} | "
                f"{share[:, i].mean():.2f} ({share[:, i].std():.2f}) | "
                f"{low[:, i].mean():.2f} to {high[:, i].mean():.2f} | {held[:, i].mean():.2f} |",
                flush=True,
            )


def media(repeats: int) -> None:
    """A difference of media, on the same donors and on wells of their own."""
    print(
        "\n| design | units | true difference (SD of cells) | found | coverage | p < 0.05 |", end=""
    )
    print(" p < 0.05, cells |\n|---|---|---|---|---|---|---|", flush=True)
    for design, units in (("within donors", 4), ("within donors", 8), ("between wells", 8)):
        for true in (0.0, 0.8):
            found = []
            for seed in range(repeats):
                rng = np.random.default_rng((seed, units))
                unit = np.repeat(np.arange(units), 30)
                rich = unit < units // 2 if design == "between wells" else np.arange(unit.size) % 2
                # donors differ by 0.7 SD of cells, and in how they take the medium by 0.3
                y = rng.normal(size=unit.size) + rng.normal(0, 0.7, units)[unit]
                if design == "within donors":
                    y += rich * rng.normal(0, 0.3, units)[unit]
                y += rich * true
                words = np.where(rich, "rich", "basal")
                row = compare_factor(10 + y[:, None], ["A"], words, unit).iloc[0]
                cells = hedges_g(y[words == "basal"], y[words == "rich"]).p
                found.append((-row["effect"], -row["high"], -row["low"], row["p"], cells))
            effect, low, high, p, p_cells = np.array(found).T
            print(
                f"| {design} | {units} | {true:.1f} | {effect.mean():.2f} ({effect.std():.2f}) | "
                f"{np.mean((low <= true) & (true <= high)):.2f} | {np.mean(p < 0.05):.2f} | "
                f"{np.mean(p_cells < 0.05):.2f} |",
                flush=True,
            )


def marker_and_shape(repeats: int) -> None:
    """Correlation of a marker with a shape feature in cells of donors that differ in both."""
    print("\n| donors | true r | found | coverage | cells as independent: found | coverage |")
    print("|---|---|---|---|---|---|", flush=True)
    for donors, true in ((4, 0.0), (4, 0.4), (12, 0.0), (12, 0.4)):
        found = []
        for seed in range(repeats):
            rng = np.random.default_rng((seed, donors))
            donor = np.repeat(np.arange(donors), 40)
            both = rng.multivariate_normal([0, 0], [[1, true], [true, 1]], donor.size)
            both += rng.normal(0, 0.7, (donors, 2))[donor]
            sides = both[:, :1], both[:, 1:]
            names = (["A"], ["area"])
            for groups in (donor, None):
                row = correlations(*sides, names, groups=groups).iloc[0]
                found.append((row["r"], row["low"] <= true <= row["high"]))
        r, held = np.array(found).reshape(repeats, 2, 2).transpose(2, 1, 0)
        print(
            f"| {donors} | {true:.1f} | {r[0].mean():.2f} ({r[0].std():.2f}) | "
            f"{held[0].mean():.2f} | {r[1].mean():.2f} ({r[1].std():.2f}) | {held[1].mean():.2f} |",
            flush=True,
        )


def shared(repeats: int) -> None:
    """Orthogonality of three markers and four shape features with one common cause."""
    print("\n| cells | true | found | coverage | p < 0.05 |\n|---|---|---|---|---|")
    for n, weight in ((100, 0.0), (100, 0.5), (400, 0.5)):
        # each variable is weight x cause + the rest: correlations of weight^2 within and across
        r2 = weight**4
        rv = 12 * r2 / np.sqrt((3 + 6 * r2) * (4 + 12 * r2))
        found = []
        for seed in range(repeats):
            rng = np.random.default_rng((seed, n))
            x = weight * rng.normal(size=(n, 1)) + np.sqrt(1 - weight**2) * rng.normal(size=(n, 7))
            one = orthogonality(x[:, :3], x[:, 3:], draws=199, seed=seed)
            found.append((one.value, one.low <= 1 - rv <= one.high, one.p < 0.05))
        value, held, sure = np.array(found, float).T
        print(
            f"| {n} | {1 - rv:.2f} | {value.mean():.2f} ({value.std():.2f}) | {held.mean():.2f} | "
            f"{sure.mean():.2f} |",
            flush=True,
        )


def phenotypes(fields: int) -> None:
    """The rule against the simulator's phenotypes, in fields cut at no cell."""
    truth, area, ratio, field = [], [], [], []
    for seed in range(fields):
        movie = Movie(
            MovieSettings(frames=1, size=768, cells=30, seed=100 + seed, markers=("CD105",))
        )
        kind = {track.label: track.build.phenotype for track in movie.tracks}
        pixel_area_um2 = movie.settings.optics.pixel_size_um**2
        for cell in regionprops(movie.structures(0).labels):
            y0, x0, y1, x1 = cell.bbox
            if min(y0, x0) > 0 and max(y1, x1) < 768:
                truth.append(PHENOTYPES[kind[cell.label]])
                area.append(cell.area * pixel_area_um2)
                ratio.append(cell.axis_major_length / cell.axis_minor_length)
                field.append(seed)
    found = agreement(truth, phenotype_rule(area, ratio).phenotype, groups=field)
    print(
        f"\nphenotypes by the rule and by the simulator: {found.agreed:.0%} of {len(truth)} cells "
        f"of {fields} fields, kappa {found.kappa.estimate:.2f} "
        f"[{found.kappa.low:.2f}, {found.kappa.high:.2f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--draws", type=int, default=4000, help="of each interval of a share")
    given = parser.parse_args()
    began = time.perf_counter()
    print(f"{given.repeats} tables a row")
    variance(given.repeats, given.draws)
    media(given.repeats)
    marker_and_shape(given.repeats)
    shared(given.repeats)
    phenotypes(12)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
