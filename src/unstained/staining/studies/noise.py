"""How the scores fall as the stain has less light, beside the ceiling that its noise sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import DataError, InputError
from ...figures import noise_curve
from ...images.pairs import Pairs
from ...images.photons import PhotonScale, fewer_photons, photon_scale
from ...images.splits import split_pairs
from ..settings import TrainSettings
from ..training import Report
from .changed import changed
from .report import write_study
from .runs import SCORES, Run, Study, begin_study, mean_scores, run_all, without_test

__all__ = ["noise_study"]

LEVELS = 9
_STAINS_MEASURED = 24  # images that a marker's gain is estimated from


def noise_study(
    pairs: Pairs,
    out: str | Path,
    settings: TrainSettings,
    *,
    levels: int | None = None,
    gain: float | None = None,
    offset: float | None = None,
    report: Report,
    say: Callable[[str], None] = print,
) -> Study:
    """Train and score with less and less light on the stain, each level half of the one before.

    Light is taken away from the stains of training, validation and test alike, by binomial
    thinning (`images.photons`); the label-free images stay. Each model is also scored on the
    test stains at full light: does it denoise? A manifest with a column `level` brings the
    user's own series in place of this: the rows of each value are one level.

    Parameters
    ----------
    pairs : Pairs
        Split by group first, where it is not.
    out : path
    settings : TrainSettings
    levels : int, optional
        From full light down to 2^-(levels - 1) of it; 9 where not given.
    gain, offset : float, optional
        Grey values per photo-electron, and at no light. Estimated from the stains of each marker
        where not given. None of the three has a use in a series of the user's own: `say` tells.
    report, say
        Progress of a training; sentences for the user.

    Raises
    ------
    InputError
        Fewer than two levels, a gain or offset that is no such number, or `out` holds another
        study.
    DataError
        The gain cannot be estimated, or the column `level` does not hold two positive numbers.
    """
    if levels is not None and levels < 2:
        raise InputError(f"{levels} levels of light", "give 2 or more")
    if gain is not None and not 0 < gain < np.inf:
        raise InputError(f"gain {gain:g}", "give grey values per photo-electron, above 0")
    if offset is not None and not np.isfinite(offset):
        raise InputError(f"offset {offset:g}", "give the grey value at no light")
    pairs = split_pairs(pairs, seed=settings.seed)
    out = Path(out)
    series = _own_series(pairs)
    own = bool(series)
    if own:
        given = {"levels": levels, "gain": gain, "offset": offset}
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            say(f"the column level says what light there is: {', '.join(unused)} not used")
        gain = offset = None
    begin_study(out, "noise", pairs, settings, gain=gain, offset=offset)
    if not own:
        shares = [2.0**-k for k in range(LEVELS if levels is None else levels)]
        scales = _scales(pairs, gain, offset, say)
        series = {
            share: pairs if share == 1 else _thinned(pairs, out, share, scales, settings.seed)
            for share in shares
        }
    full = next(iter(series.values())).of_split("test")
    runs = [
        Run(
            f"light-{share:.10g}",
            without_test(level),
            {"same": level.of_split("test"), "full": full},
            settings.seed,
        )
        for share, level in series.items()
    ]
    scores = run_all(runs, out, settings, report=report, say=say)
    light_of = dict(zip([run.name for run in runs], series, strict=True))
    table = _table(scores.assign(light=scores["run"].map(light_of)))
    return write_study(out, "noise", table, _words(table, own=own), noise_curve(table))


def _own_series(pairs: Pairs) -> dict[float, Pairs]:
    """The levels of a column `level`, most light first."""
    if (pairs.table["level"] == "").all():
        return {}
    level = pd.to_numeric(pairs.table["level"], errors="coerce")
    remedy = "write the light of each stain, a positive number, or leave the column out"
    for row, number in enumerate(level, 1):
        if not 0 < number < np.inf:
            text = pairs.table["level"].iloc[row - 1]
            raise DataError(f"row {row} has level {text!r}", remedy, file=pairs.name)
    if level.nunique() < 2:
        raise DataError("the column level holds one number only", remedy, file=pairs.name)
    found = {}
    for value in sorted(level.unique(), reverse=True):
        # one field at two levels must be the same pair to the score
        table = pairs.table[level == value].assign(level="")
        found[float(value)] = Pairs(table.reset_index(drop=True), pairs.root, pairs.name)
    return found


def _scales(
    pairs: Pairs, gain: float | None, offset: float | None, say: Callable[[str], None]
) -> dict[str, PhotonScale]:
    scales = {}
    for marker in pairs.markers:
        if gain is not None and offset is not None:
            scales[marker] = PhotonScale(gain, offset)
            continue
        fields = pairs.of_split("train").of_markers([marker]).fields()
        every = max(1, len(fields) // _STAINS_MEASURED)
        try:
            found = photon_scale([field.read_stain(marker) for field in fields[::every]])
        except DataError as error:
            raise DataError(f"{marker}: {error.reason}", error.remedy) from error
        scales[marker] = PhotonScale(
            found.gain if gain is None else gain, found.offset if offset is None else offset
        )
        say(
            f"{marker}: {scales[marker].gain:.3g} grey values per photo-electron above "
            f"{scales[marker].offset:.4g}; what was not given is estimated from the stains' noise"
        )
    return scales


def _thinned(
    pairs: Pairs, out: Path, share: float, scales: Mapping[str, PhotonScale], seed: int
) -> Pairs:
    def change(image: np.ndarray[Any, Any], marker: str, rng: np.random.Generator) -> Any:
        return fewer_photons(image, share, scales[marker], rng)

    folder = out / "data" / f"light-{share:.10g}"
    return changed(pairs, folder, column="stain", change=change, seed=seed)


def _table(scores: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(
        {"marker": marker, "light": light, "test": test, **mean_scores(part, SCORES)}
        for (marker, light, test), part in scores.groupby(["marker", "light", "test"], sort=False)
    )
    return table.sort_values(["marker", "test", "light"], ascending=[True, False, False])


def _change(name: str, before: float, after: float, digits: int = 3) -> str:
    """`name` falls, rises, stays as far as its digits show, or goes where nothing is measured."""
    ends = [
        f"{value:.{digits}f}" if np.isfinite(value) else "what cannot be measured"
        for value in (before, after)
    ]
    measured = np.isfinite([before, after]).all()
    if measured and ends[0] == ends[1]:
        return f"{name} stays at {ends[0]}"
    verb = "goes" if not measured else "falls" if after < before else "rises"
    return f"{name} {verb} from {ends[0]} to {ends[1]}"


def _words(table: pd.DataFrame, *, own: bool) -> list[str]:
    """Sentences for each marker; the light of a series of the user's own is no share."""
    words = []
    same = table[table["test"] == "same"]
    for marker, part in same.groupby("marker", sort=False):
        full, least = part.iloc[0], part.iloc[-1]
        if own:
            most, little = f"level {full['light']:g}", f"{least['light']:g}"
            learner = f"the model of level {little}"
        else:
            most, little = "full light", f"{least['light']:.3g} of it"
            learner = "the model of least light"
        words.append(
            f"{marker}: from {most} to {little}, "
            f"{_change('snr_rms', full['snr_rms'], least['snr_rms'], 1)}, "
            f"{_change('r_s', full['r_s'], least['r_s'])}, "
            f"{_change('r_lap', full['r_lap'], least['r_lap'])} "
            f"(c_max {full['c_max']:.3f} to {least['c_max']:.3f})."
        )
        above = part[part["r_s"] > part["c_max"]]
        if len(above):
            words.append(
                f"{marker}: r_s lies above c_max at {len(above)} of {len(part)} levels: the "
                "stain's noise is overestimated there, or not independent from pixel to pixel."
            )
        clean = table[(table["marker"] == marker) & (table["test"] == "full")]
        end = clean[clean["light"] == least["light"]].iloc[0]
        words.append(
            f"{marker}: {learner} scores r_s {end['r_s']:.3f} on stains of {most}, "
            f"{end['r_s'] - least['r_s']:+.3f} against those it was trained on"
            + (": it denoises." if end["r_s"] > least["r_s"] else ".")
        )
    return words
