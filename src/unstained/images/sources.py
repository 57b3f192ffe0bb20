"""Where pairs come from: a manifest, two folders, the channels of one file, a data set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from ..errors import DataError, FileError, InputError, count_of, some_of
from .fields import file_of, join_paths, split_paths
from .folders import images_in, is_zarr, natural_order
from .pairs import REQUIRED, Pairs
from .read import split_selector, stem_of
from .tables import TABLES, read_table

__all__ = [
    "absolute_path",
    "absolute_paths",
    "load_pairs",
    "pairs_from_channels",
    "pairs_from_folders",
    "pairs_from_manifest",
    "parts_of",
]


def load_pairs(spec: str | os.PathLike[str]) -> Pairs:
    """Pairs from what a user names on the command line.

    Parameters
    ----------
    spec : str
        The name of a registered data set (`isl`; a folder of that name is ``./isl``); a CSV
        manifest; two folders ``PHASE:STAIN`` of equally named files, the second named after
        the marker; a folder with ``manifest.csv``, or with a subfolder ``phase`` and one for
        each marker; an OME-Zarr or OME-TIFF whose channels are phase and stains.

    Raises
    ------
    FileError
        Nothing of that name is there.
    DataError
        What is there gives no pairs; see the functions for each kind.
    """
    spec = os.fspath(spec)
    if spec in _data_sets():
        from .. import datasets

        return datasets.standard_pairs(spec)
    path = Path(spec)
    if path.is_file() and path.suffix.casefold() in TABLES:
        return pairs_from_manifest(path)
    if path.is_file() or is_zarr(path):
        return pairs_from_channels(path)
    if path.is_dir():
        return _pairs_from_tree(path)
    for i, letter in enumerate(spec):
        left, right = Path(spec[:i]), Path(spec[i + 1 :])
        # "C:\a:D:\b" has three colons; the one between two folders is meant
        if letter == ":" and spec[:i] and spec[i + 1 :] and left.is_dir() and right.is_dir():
            return pairs_from_folders(left, right, right.name)
    known = ", ".join(_data_sets()) or "none"
    raise FileError(
        "neither a file, a folder, two folders PHASE:STAIN, nor a data set",
        f"check the spelling; data sets: {known}",
        file=spec,
    )


def pairs_from_manifest(path: str | os.PathLike[str]) -> Pairs:
    """Pairs from a table with the columns ``phase,stain,marker,group``.

    Optional columns: `split`, `well`, `donor`, `passage`, `region`, `cell`, `labels`,
    `pixel_size_um`, `weight`; others are kept. Paths are relative to the manifest. Comma,
    semicolon or tab separate the columns; the first line names them.

    Raises
    ------
    FileError
        The manifest, or a file in it, is not there.
    DataError
        It is no table, a column is missing, a cell empty or not understood (see `Pairs`).
    """
    path = Path(path).absolute()
    table = read_table(path)
    if table.empty:
        raise DataError("has no rows", "write one row for each pair", file=path)
    root = path.parent
    missing: dict[int, list[str]] = {}
    for column in ("phase", "stain", "labels"):
        if column not in table.columns:
            continue
        cells = [absolute_paths(text, root) for text in table[column]]
        table[column] = [join_paths(paths) for paths in cells]
        for row, paths in enumerate(cells, 1):
            absent = [p for p in paths if not file_of(p).exists()]
            missing.setdefault(row, []).extend(absent)
    # columns and cells first: a file cannot be looked for where its column is wrong
    try:
        pairs = Pairs(table, root, path.name if path.stem != "manifest" else root.name)
    except DataError as error:
        raise DataError(error.reason, error.remedy, file=path) from error
    _same_planes(pairs, path)
    named = [f"row {row}: {file}" for row in sorted(missing) for file in missing[row]]
    if named:
        raise FileError(
            f"{len(named)} files are not there: {some_of(named, 20)}",
            "paths are relative to the manifest; correct them or restore the files",
            file=path,
        )
    return pairs


def pairs_from_folders(
    phase_dir: str | os.PathLike[str],
    stain_dir: str | os.PathLike[str],
    marker: str,
    *,
    pattern: str | tuple[str, str] | None = None,
) -> Pairs:
    r"""Pairs of files that agree in name.

    Parameters
    ----------
    phase_dir, stain_dir : path-like
        The two folders; the same one where a pattern tells the files apart.
    marker : str
        What the second folder shows.
    pattern : str or (str, str), optional
        Regular expression for the file name, or one for each folder; files whose groups
        ``(...)`` capture the same text belong together. Not given: the name without suffix.
        Named groups have a meaning: ``(?P<group>)``, ``(?P<well>)``, ``(?P<donor>)``,
        ``(?P<passage>)`` fill these columns; ``(?P<plane>)`` numbers the planes of a focus
        series in the phase folder and is no part of the match. Example:
        ``(?P<well>[A-H]\d+)_(\d+)_.*\.tif``.

    Notes
    -----
    Without ``group``, the well or donor is the group; without those, each field is its own,
    which flatters scores where several fields show one well; `Pairs.notes` says so.

    Raises
    ------
    FileError
        A folder is not there.
    DataError
        An image has no partner, or two: all are listed.
    """
    folders = [Path(phase_dir).absolute(), Path(stain_dir).absolute()]
    patterns = pattern if isinstance(pattern, tuple) else (pattern, pattern)
    phase, stain = (_by_key(f, _compiled(p)) for f, p in zip(folders, patterns, strict=True))
    _all_matched(folders, phase, stain, twin=pattern is not None)
    rows = []
    for key, found in phase.items():
        row = {**stain[key][0][1], **found[0][1]}
        row.pop("plane", None)
        row["phase"] = join_paths([str(path) for path, _ in found])
        row["stain"] = str(stain[key][0][0])
        row["group"] = row.get("group") or row.get("well") or row.get("donor") or "/".join(key)
        rows.append({**row, "marker": marker})
    named = {name for found in phase.values() for name in found[0][1]}
    notes = () if named & {"group", "well", "donor"} else (_UNGROUPED,)
    root: Path | None = None
    with suppress(ValueError):  # of two drives of Windows
        root = Path(os.path.commonpath(folders))
    return Pairs(pd.DataFrame(rows), root, f"{folders[0].name}:{folders[1].name}", notes)


def pairs_from_channels(
    path: str | os.PathLike[str],
    phase: Sequence[str] | None = None,
    stains: Sequence[str] | None = None,
) -> Pairs:
    """Pairs from the channels of one image (OME-Zarr, OME-TIFF, a vendor's file).

    Parameters
    ----------
    path : path-like
        The image. It is one group, so that only a spatial split fits.
    phase : sequence of str, optional
        Names of the label-free channels; not given: those whose names say so (Phase, PH2,
        Brightfield, BF, DIC, TL, Trans ...), and a note tells which.
    stains : sequence of str, optional
        Names of the stained channels, which become the markers; not given: all others.

    Raises
    ------
    DataError
        A channel is not there, two have one name, or the label-free one cannot be told by its
        name.
    """
    from .read import read_image

    path = Path(path).absolute()
    channels = read_image(path).channels
    names = [channel.name for channel in channels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{names.count(twice[0])} channels are called {twice[0]}",
            "give them names of their own, or write a manifest with PATH#0, PATH#1 ...",
            file=path,
        )
    told = phase is not None
    if phase is None:
        phase = [c.name for c in channels if c.label_free and c.name not in (stains or ())]
    if stains is None:
        stains = [n for n in names if n not in phase]
    absent = [name for name in (*phase, *stains) if name not in names]
    both = set(phase) & set(stains)
    if absent or both or not phase or not stains:
        what = f"no channel {', '.join(absent)}" if absent else "phase and stains are not clear"
        raise DataError(
            f"{what} among {', '.join(names)}",
            "name the channels, or write a manifest with PATH#CHANNEL",
            file=path,
        )
    # by number where a name has the letter that joins paths
    source = {n: f"{path}#{i if ';' in n else n}" for i, n in enumerate(names)}
    inputs = join_paths([source[name] for name in phase])
    rows = [(inputs, source[name], name, path.stem) for name in stains]
    guess = f"by their names, {', '.join(phase)} is the input, and markers are {', '.join(stains)}"
    notes = () if told else (guess,)
    return Pairs(pd.DataFrame(rows, columns=list(REQUIRED)), path.parent, path.name, notes)


_UNGROUPED = (
    "no groups are known: each field counts as its own; where several fields show one well or "
    "donor, scores are flattered: name the group in a manifest or by (?P<group>...) in a pattern"
)


def _data_sets() -> tuple[str, ...]:
    from .. import datasets

    return tuple(datasets.names())


def _pairs_from_tree(folder: Path) -> Pairs:
    """A folder with a manifest, or with ``phase`` and a folder for each marker."""
    folder = folder.absolute()
    if (folder / "manifest.csv").is_file():
        return pairs_from_manifest(folder / "manifest.csv")
    inside = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    phase = [p for p in inside if p.name.casefold() == "phase"]
    stains = [p for p in inside if p not in phase and images_in(p)]
    if len(phase) != 1 or not stains:
        folders = [p.name for p in inside]
        images = [p.name for p in images_in(folder)]
        there = f"folders {some_of(folders, 20)}" if folders else "no folders"
        if images:
            there += f", images {some_of(images, 5)}"
        raise DataError(
            f"no folder phase with stains beside it: there are {there}",
            "give PHASE:STAIN folders or a manifest",
            file=folder,
        )
    parts = [_lenient(phase[0], stain) for stain in stains]
    unused = set(map(str, images_in(phase[0]))) - {p for part in parts for p in part.table["phase"]}
    if unused:
        raise DataError(
            f"{count_of(len(unused), 'phase image')} without a stain: "
            f"{some_of(sorted(unused), 20)}",
            "remove them or add their stains",
            file=folder,
        )
    table = pd.concat([part.table for part in parts])
    return Pairs(table, folder, folder.name, parts[0].notes)


def _lenient(phase: Path, stain: Path) -> Pairs:
    """Pairs of one marker; phase images without this marker are looked at by the caller."""
    keyed = {stem_of(path): path for path in images_in(phase)}
    rows = [
        (str(keyed.get(stem_of(path), "")), str(path), stain.name, stem_of(path))
        for path in images_in(stain)
    ]
    alone = [Path(row[1]).name for row in rows if not row[0]]
    if alone:
        raise DataError(
            f"{count_of(len(alone), 'image')} without a phase image of that name: "
            f"{some_of(alone, 20)}",
            "names must be equal up to the suffix",
            file=stain,
        )
    table = pd.DataFrame(rows, columns=list(REQUIRED))
    return Pairs(table, phase.parent, stain.name, (_UNGROUPED,))


def absolute_paths(text: str, root: Path) -> list[str]:
    """Absolute paths of a manifest's cell; a file whose own name has a ``;`` stays whole."""
    return [absolute_path(part, root) for part in parts_of(text, root)]


def parts_of(text: str, root: Path) -> list[str]:
    """The paths that a manifest's cell joins by ``;``, as they are written there."""
    whole = str(root / text)
    parts = text.split(";") if ";" in text and split_paths(whole) != [whole] else [text]
    return [part.strip() for part in parts if part.strip()]


def absolute_path(text: str, root: Path) -> str:
    """One path of a manifest's cell, relative to `root`, without ``..``."""
    path = str(root / text.strip())
    if "\\" in text and not file_of(path).exists():  # written on Windows, read elsewhere
        other = str(root / text.strip().replace("\\", "/"))
        path = other if file_of(other).exists() else path
    if ".." not in Path(path).parts:
        return os.path.normpath(path)
    chosen = split_selector(path)  # what lies above a link is not what lies above its folder
    return f"{chosen.path.parent.resolve() / chosen.path.name}{chosen.inside}"


def _same_planes(pairs: Pairs, path: Path) -> None:
    counts = pairs.table["phase"].map(lambda joined: len(split_paths(joined)))
    usual = int(counts.mode().iloc[0])
    odd = counts[counts != usual]
    if len(odd):
        raise DataError(
            f"row {int(odd.index[0]) + 1} has {int(odd.iloc[0])} phase files, most rows {usual}",
            "all rows must have the same planes",
            file=path,
        )


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"pattern {pattern!r}: {error}", "give a regular expression") from error
    if compiled.groups - ("plane" in compiled.groupindex) < 1:
        raise InputError(
            f"pattern {pattern!r} captures nothing", "put ( ) around what both names share"
        )
    return compiled


_Keyed = dict[tuple[str, ...], list[tuple[Path, dict[str, str]]]]


def _by_key(folder: Path, pattern: re.Pattern[str] | None) -> _Keyed:
    """Files by what they must share with their partner, each with its named groups."""
    found: _Keyed = {}
    for path in images_in(folder):
        if pattern is None:
            found.setdefault((stem_of(path),), []).append((path, {}))
            continue
        match = pattern.fullmatch(path.name) or pattern.fullmatch(path.stem)
        if match is None:
            continue
        plane = pattern.groupindex.get("plane")
        key = tuple(g or "" for i, g in enumerate(match.groups(), 1) if i != plane)
        found.setdefault(key, []).append((path, match.groupdict(default="")))
    for files in found.values():
        files.sort(key=lambda item: natural_order(item[1].get("plane", "")))
    return found


def _all_matched(folders: list[Path], phase: _Keyed, stain: _Keyed, *, twin: bool) -> None:
    """Raise unless every image has one partner."""
    used = {path for keyed in (phase, stain) for files in keyed.values() for path, _ in files}
    unread = [
        p.name for folder in dict.fromkeys(folders) for p in images_in(folder) if p not in used
    ]
    alone = [_names(phase, phase.keys() - stain.keys()), _names(stain, stain.keys() - phase.keys())]
    doubles = [f for f in stain.values() if len(f) > 1]
    doubles += [f for f in phase.values() if len({g.get("plane") for _, g in f}) < len(f)]
    twice = [path.name for files in doubles for path, _ in files]
    problems = [
        (unread, "that the pattern does not fit"),
        (alone[0], f"in {folders[0].name} without a stain"),
        (alone[1], f"in {folders[1].name} without a phase image"),
        (twice, "of a name that another has"),
    ]
    text = ", and ".join(
        f"{count_of(len(n), 'image')} {what}: {some_of(n, 20)}" for n, what in problems if n
    )
    if text or not phase:
        raise DataError(
            text or "there are no images",
            "correct the pattern" if twin else "give partners equal names, or a pattern",
            file=f"{folders[0]} and {folders[1]}",
        )


def _names(keyed: _Keyed, keys: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted(path.name for key in keys for path, _ in keyed[key])
