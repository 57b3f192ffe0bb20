"""Wells of simulated colonies as files: images, the truth beside them, crops to train on."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import InputError
from ..images.atomic import atomic_dir, write_json
from ..images.write import write_png
from .colony_fates import CLASSES, EFFECT_ON, STATES, shares
from .colony_textures import PIXEL_SIZE_UM
from .colony_wells import (
    ColonySettings,
    ColonyState,
    Well,
    WellFrame,
    plan_well,
    render_frame,
)
from .optics import check_workers
from .streams import stream

__all__ = ["write_colonies"]

Row = Mapping[str, object]

_SPLIT, _LABELLED = 5, 6  # last counters of generators, beside those of colony_wells
_PARTS = ("test", "validation", "train")


def write_colonies(
    out_dir: str | os.PathLike[str],
    settings: ColonySettings | None = None,
    *,
    crops: bool = False,
    whole: bool = True,
    labelled: float = 0.1,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write wells over hours, with the truth about every colony, into a new folder.

    Each frame is made, written and forgotten, so wells x frames may be larger than memory.

    - ``wells/wellWW_frameFFF.tif`` (16 bit), ``..._labels.tif`` (the colony of each pixel) and
      ``..._classes.tif`` (1 debris, 2 dense, 3 differentiated, 4 spread; 0 is background)
    - ``colonies.csv``: a row for each colony and frame; boxes in pixels, the last row and
      column just outside
    - ``transitions.csv``: each change of state with its exact hour, from the first frame on
    - ``truth.json``: rates per hour, shares, what the treatment acts on, the settings
    - with crops: ``crops/`` and ``manifest.csv``. `mask` is 255 inside the colony, `classes`
      the class of each pixel; `truth` is the class or "multi-label", `label` the same where it
      is shown and empty where it is hidden. A split has whole wells.

    Parameters
    ----------
    out_dir : path-like
        Must not exist yet.
    settings : ColonySettings, optional
    crops : bool
        Whether to write each colony's bounding box as an image of its own; needs 3 wells.
    whole : bool
        Whether to write whole wells.
    labelled : float
        Share of the colonies of training wells whose label is shown in all frames; at least one
        colony for each class. Validation and test are labelled.
    workers : int
        Threads, each with a frame of its own; the files are the same for any number.
    progress : callable, optional
        Is told the share done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        Fewer than 3 wells with crops, a share outside 0 to 1, no worker, nothing to write, or
        colonies that do not fit.
    FileError
        The folder exists or cannot be written.
    """
    settings = ColonySettings() if settings is None else settings
    _check(settings, crops, whole, labelled, workers)
    wells = [plan_well(settings, number) for number in range(settings.wells)]
    tasks = [(well, frame) for well in wells for frame in range(settings.frames)]
    with atomic_dir(out_dir) as folder:
        for name in (["wells"] if whole else []) + (["crops"] if crops else []):
            (folder / name).mkdir()
        write = partial(_write_frame, folder, settings, crops, whole)
        states: list[ColonyState] = []
        for i, frame_states in enumerate(_in_order(write, tasks, workers), start=1):
            states += frame_states
            if progress is not None:
                progress(i / len(tasks))
        _write_table(folder / "colonies.csv", [_row(state) for state in states])
        _write_table(folder / "transitions.csv", list(_transitions(settings, wells)))
        write_json(folder / "truth.json", _truth(settings))
        if crops:
            _write_table(folder / "manifest.csv", _manifest(settings, states, labelled))
    return Path(out_dir)


def _check(
    settings: ColonySettings, crops: bool, whole: bool, labelled: float, workers: int
) -> None:
    if crops and settings.wells < len(_PARTS):
        raise InputError(
            f"crops of {settings.wells} wells", "train, validation and test need 3: give more wells"
        )
    if not (crops or whole):
        raise InputError("neither wells nor crops are to be written", "ask for one of them")
    if not 0 <= labelled <= 1:
        raise InputError(f"a labelled share of {labelled}", "give 0 to 1")
    check_workers(workers)


def _in_order(
    write: Callable[[tuple[Well, int]], list[ColonyState]],
    tasks: Sequence[tuple[Well, int]],
    workers: int,
) -> Iterator[list[ColonyState]]:
    """Results in the order of the tasks; after an error nothing more is begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(write, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_frame(
    folder: Path, settings: ColonySettings, crops: bool, whole: bool, task: tuple[Well, int]
) -> list[ColonyState]:
    well, number = task
    frame = render_frame(settings, well, number)
    if whole:
        stem = folder / "wells" / _stem(well.number, number)
        _write_tiff(stem.with_suffix(".tif"), frame.image, None)
        _write_tiff(stem.with_name(stem.name + "_labels.tif"), frame.labels, "zlib")
        _write_tiff(stem.with_name(stem.name + "_classes.tif"), frame.classes, "zlib")
    if crops:
        for state in frame.colonies:
            _write_crop(folder / "crops", frame, state)
    return frame.colonies


def _write_tiff(path: Path, image: np.ndarray[Any, Any], compression: str | None) -> None:
    dots_per_cm = 1e4 / PIXEL_SIZE_UM
    tifffile.imwrite(
        path,
        image,
        compression=compression,
        resolution=(dots_per_cm, dots_per_cm),
        resolutionunit="CENTIMETER",
    )


def _write_crop(folder: Path, frame: WellFrame, state: ColonyState) -> None:
    y0, x0, y1, x1 = state.box
    inside = frame.labels[y0:y1, x0:x1] == state.colony
    stem = _crop_stem(state)
    write_png(frame.image[y0:y1, x0:x1], folder / f"{stem}.png")
    write_png(np.where(inside, 255, 0).astype(np.uint8), folder / f"{stem}_mask.png")
    write_png(frame.classes[y0:y1, x0:x1] * inside, folder / f"{stem}_classes.png")


def _stem(well: int, frame: int) -> str:
    return f"well{well:02}_frame{frame:03}"


def _crop_stem(state: ColonyState) -> str:
    return f"{_stem(state.well, state.frame)}_colony{state.colony:03}"


def _treatment(treated: bool) -> str:
    return "treated" if treated else "control"


def _row(state: ColonyState) -> Row:
    y0, x0, y1, x1 = state.box
    return {
        "well": state.well,
        "frame": state.frame,
        "time_h": f"{state.time_h:g}",
        "colony": state.colony,
        "class": state.class_,
        "state": state.state,
        "multi_label": int(state.class_ not in CLASSES),
        "area_um2": f"{state.area_um2:.2f}",
        "y0": y0,
        "x0": x0,
        "y1": y1,
        "x1": x1,
        "centroid_y_um": f"{state.centroid_um[0]:.2f}",
        "centroid_x_um": f"{state.centroid_um[1]:.2f}",
        "treatment": _treatment(state.treated),
    }


def _transitions(settings: ColonySettings, wells: Sequence[Well]) -> Iterator[Row]:
    """Jumps up to the last frame; a table without rows would have no columns: hour 0 is one."""
    last_h = (settings.frames - 1) * settings.frame_interval_h
    for well in wells:
        for colony in well.colonies:
            before = ""
            for start_h, state in zip(colony.fate.start_h, colony.fate.state, strict=False):
                if start_h <= last_h:
                    yield {
                        "well": well.number,
                        "colony": colony.number,
                        "time_h": f"{start_h:.6f}",
                        "from": before,
                        "to": STATES[int(state)],
                        "treatment": _treatment(well.treated),
                    }
                before = STATES[int(state)]


def _truth(settings: ColonySettings) -> Mapping[str, object]:
    def named(treated: bool) -> dict[str, dict[str, float]]:
        rates = settings.rates(treated=treated)
        return {
            state: {follows: rate for follows, rate in zip(STATES, row, strict=True) if rate > 0}
            for state, row in zip(STATES, rates.tolist(), strict=True)
        }

    return {
        "what": "simulated colonies; rates per hour from state to state, initial shares of states",
        "pixel_size_um": PIXEL_SIZE_UM,
        "frame_interval_h": settings.frame_interval_h,
        "class_values": {class_: value for value, class_ in enumerate(CLASSES, start=1)},
        "initial_shares": dict(zip(STATES, shares().tolist(), strict=True)),
        "rates_per_h": {"control": named(False), "treated": named(True)},
        "treatment_effect": settings.effect,
        "treatment_acts_on": [list(pair) for pair in EFFECT_ON],
        "treated_wells": [n for n in range(settings.wells) if settings.is_treated(n)],
        "wells": settings.wells,
        "frames": settings.frames,
        "size_px": settings.size,
        "colonies_per_well": settings.n_colonies(),
        "seed": settings.seed,
    }


def _manifest(
    settings: ColonySettings, states: Sequence[ColonyState], labelled: float
) -> list[Row]:
    split = _splits(settings)
    shown = _shown(settings, [s for s in states if split[s.well] == "train"], labelled)
    return [
        {
            "image": f"crops/{_crop_stem(state)}.png",
            "mask": f"crops/{_crop_stem(state)}_mask.png",
            "classes": f"crops/{_crop_stem(state)}_classes.png",
            "label": state.class_
            if split[state.well] != "train" or (state.well, state.colony) in shown
            else "",
            "truth": state.class_,
            "group": f"well{state.well:02}",
            "split": split[state.well],
            "well": state.well,
            "frame": state.frame,
            "colony": state.colony,
            "treatment": _treatment(state.treated),
            "pixel_size_um": PIXEL_SIZE_UM,
        }
        for state in states
    ]


def _splits(settings: ColonySettings) -> dict[int, str]:
    """The part that each well belongs to: a tenth to test, a tenth to validation, at least one."""
    order = stream(settings.seed, 0, 0, _SPLIT).permutation(settings.wells)
    n = max(1, round(0.1 * settings.wells))
    return {int(well): _PARTS[min(place // n, len(_PARTS) - 1)] for place, well in enumerate(order)}


def _shown(
    settings: ColonySettings, states: Sequence[ColonyState], labelled: float
) -> set[tuple[int, int]]:
    """(well, colony) of training whose labels are shown; none at a share of 0."""
    colonies = sorted({(state.well, state.colony) for state in states})
    order = stream(settings.seed, 0, 0, _LABELLED).permutation(len(colonies))
    drawn = [colonies[i] for i in order]
    shown = set(drawn[: round(labelled * len(drawn))])
    if labelled == 0:
        return shown
    of_class: dict[str, set[tuple[int, int]]] = {}
    for state in states:
        of_class.setdefault(state.class_, set()).add((state.well, state.colony))
    for members in of_class.values():
        if not members & shown:
            shown.add(next(colony for colony in drawn if colony in members))
    return shown


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
