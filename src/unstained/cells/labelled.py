"""Images with the labels of their cells, to learn from."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..datasets.labelled import standard_labels
from ..datasets.registry import names as known_sets
from ..errors import DataError, FileError, InputError
from ..images.folders import images_in
from ..images.read import SUFFIXES, read_image, read_labels
from ..images.splits import SplitWarning
from ..learning.random import generator
from .segmentation_sources import image_key

__all__ = ["LabelledImage", "Split", "load_labelled", "split_images"]

_SPLITS = ("", "train", "validation", "test")
_TOLD = re.compile(r"[_-](labels?|masks?|seg|instances|cells|nuclei)$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image and its labels.

    Attributes
    ----------
    name, group : str
        Images of one group are never on both sides of a split.
    image : (Y, X) array
        Grey values as they are.
    labels : (Y, X) int32 array
        0 is background.
    nuclei : (Y, X) bool array or None
        Where nuclei are; None where that is not known.
    pixel_size_um : float or None
    split : {"", "train", "validation", "test"}
        Where a manifest says it.
    """

    name: str
    group: str
    image: NDArray[np.generic]
    labels: NDArray[np.int32]
    nuclei: NDArray[np.bool_] | None = None
    pixel_size_um: float | None = None
    split: str = ""


class Split(NamedTuple):
    """Images to learn from, and images that choose weights and thresholds."""

    train: list[LabelledImage]
    validation: list[LabelledImage]


def load_labelled(
    data: str | Path, labels: str | Path | None = None, group: str | None = None
) -> list[LabelledImage]:
    """Read images and labels that go together.

    An image without a group is a group of its own. Where such images look like frames or tiles
    of one sequence (names equal up to a final number), a `SplitWarning` says so.

    Parameters
    ----------
    data : str or path
        The name of a data set (``usiigaci``); a manifest CSV with the columns image, labels and,
        if wanted, group, split, nuclei, with paths relative to it; a folder with the folders
        ``images``, ``labels`` and, if wanted, ``nuclei``; or a folder of images, with `labels`.
    labels : path, optional
        Folder of label images, of the same names as the images but for the suffix and an
        ending such as ``_labels`` or ``_mask``.
    group : str, optional
        A regular expression, looked for in the name of each image's file: images in which it
        finds the same text are of one group. ``well[0-9]+`` puts ``well3_t001.tif`` into well3. Of
        an expression with parentheses, the text in the first ones.

    Raises
    ------
    FileError, InputError
        There is no such file, folder or data set, or an image has no labels; `group` is no
        regular expression, finds nothing in a name, or groups are named already.
    DataError
        Image and labels differ in shape, an image has several planes, or no image has a cell.
    """
    if labels is None and str(data) in known_sets():
        rows = [
            {"image": str(f.image), "labels": str(f.labels), "group": f.group}
            for f in standard_labels(str(data))
        ]
    elif Path(data).is_file():
        rows = _of_manifest(Path(data))
    elif Path(data).is_dir():
        rows = _of_folders(Path(data), None if labels is None else Path(labels))
    else:
        raise FileError(
            "is no folder, no manifest and no data set",
            f"data sets: {', '.join(known_sets())}",
            file=data,
        )
    if group is None:
        _warn_of_sequences([row["image"] for row in rows if not row.get("group")], data)
    else:
        rows = [row | {"group": _group_of(row, group)} for row in rows]
    images = [_read(row) for row in rows]
    if not any(image.labels.any() for image in images):
        raise DataError("no image has a labelled cell", "look at the labels", file=data)
    return images


def _group_of(row: Mapping[str, str], pattern: str) -> str:
    if row.get("group"):
        raise InputError(
            f"the groups of {row['image']} are named in the data",
            "leave --group out, or the column group",
        )
    name = Path(row["image"]).name
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(
            f"group {pattern!r} is no regular expression ({error})", "give one such as well[0-9]+"
        ) from error
    if found is None or not (text := found[1 if found.re.groups else 0]):
        raise InputError(
            f"group {pattern!r} finds nothing in {name}", "give one that all names of images hold"
        )
    return text


def _warn_of_sequences(images: Sequence[str], data: str | Path) -> None:
    """Say where images, each a group of its own, may be frames or tiles of one sequence."""
    alike: dict[tuple[Path, str], list[str]] = defaultdict(list)
    for path in map(Path, images):
        key = image_key(path.stem.removesuffix(".ome"))
        alike[path.parent, key.rstrip("0123456789")].append(path.name)
    sequences = [names for names in alike.values() if len(names) > 1]
    if sequences:
        warnings.warn(
            f"{data}: {sum(map(len, sequences))} images look like frames or tiles of "
            f"{len(sequences)} sequences (such as {sequences[0][0]}, {sequences[0][1]}). Each is "
            "a group of its own, so the same cells may teach and validate, which flatters the "
            "scores: name groups with --group PATTERN or in a manifest's column group; --group "
            '".+" says that each image stands alone',
            SplitWarning,
            stacklevel=3,
        )


def split_images(images: Sequence[LabelledImage], share: float, seed: int) -> Split:
    """Take whole groups out for validation, unless the images say where they belong.

    A share of the groups, at least one, drawn by `seed`. Images of split "test" are left out;
    where one says "validation", all that do are, and the others train.

    Raises
    ------
    DataError
        There is one group only, or no image is left to train on.
    """
    named = [image for image in images if image.split == "validation"]
    rest = [image for image in images if image.split in ("", "train")]
    tested = {image.group for image in images if image.split == "test"}
    _apart(tested, {image.group for image in rest + named}, "in the test part and not")
    if not named:
        free = [image for image in rest if image.split == ""] or rest
        groups = sorted({image.group for image in free})
        n_groups = len({image.group for image in rest})
        if n_groups < 2:
            raise DataError(
                f"{n_groups} group of images to learn from, and validation needs another",
                "label a second image, or cut this one in two",
            )
        count = min(max(1, round(share * len(groups))), n_groups - 1)
        drawn = generator(seed, 0).permutation(len(groups))[:count]
        chosen = {groups[i] for i in drawn}
        named = [image for image in free if image.group in chosen]
        rest = [image for image in rest if image not in named]
    if not named or not rest:
        raise DataError(
            f"{len(rest)} images to train on, {len(named)} for validation",
            "both need one: look at the column split",
        )
    _apart(
        {image.group for image in named},
        {image.group for image in rest},
        "in training and in validation",
    )
    return Split(rest, named)


def _apart(some: set[str], others: set[str], where: str) -> None:
    if some & others:
        raise DataError(
            f"group {min(some & others)!r} is {where}",
            "keep a group on one side: look at the columns group and split",
        )


def _of_manifest(file: Path) -> list[dict[str, str]]:
    from ..images.tables import read_table

    table = read_table(file)
    missing = [name for name in ("image", "labels") if name not in table.columns]
    if missing or not len(table):
        raise DataError(
            f"has no column {missing[0]!r}" if missing else "has no rows",
            "a manifest has the columns image, labels and, if wanted, group, split, nuclei",
            file=file,
        )
    wrong = sorted(set(table["split"]) - set(_SPLITS)) if "split" in table else []
    if wrong:
        raise DataError(f"split {wrong[0]!r}", "write train, validation or test", file=file)
    rows: list[dict[str, str]] = []
    named: dict[str, int] = {}
    for number, row in enumerate(table.to_dict("records"), 1):
        for name in ("image", "labels"):
            if not str(row[name]).strip():
                raise DataError(f"row {number} names no {name}", "give its path", file=file)
        first = named.setdefault(str(row["image"]), number)
        if first != number:
            raise DataError(
                f"rows {first} and {number} name one image, {row['image']}",
                "remove one: an image that teaches and validates would flatter the scores",
                file=file,
            )
        found = {str(k): str(v) for k, v in row.items()}
        for name in ("image", "labels", "nuclei"):
            if found.get(name):
                # as written on Windows, too
                found[name] = str(file.parent / found[name].replace("\\", "/"))
        rows.append(found)
    return rows


def _of_folders(folder: Path, labels: Path | None) -> list[dict[str, str]]:
    nuclei: Mapping[str, Path] = {}
    if labels is None:
        folder, labels = folder / "images", folder / "labels"
        for part in (folder, labels):
            if not part.is_dir():
                raise FileError(
                    "is not there",
                    "a folder to learn from has the folders images and labels; "
                    "or name the folder of labels with --labels",
                    file=part,
                )
        if (folder.parent / "nuclei").is_dir():
            nuclei = _by_stem(folder.parent / "nuclei")
    of_stem = _by_stem(labels)
    rows = []
    for stem, path in _by_stem(folder).items():
        if stem not in of_stem:
            raise FileError(f"has no labels in {labels}", "name them alike", file=path)
        row = {"image": str(path), "labels": str(of_stem[stem])}
        rows.append(row | ({"nuclei": str(nuclei[stem])} if stem in nuclei else {}))
    if not rows:
        raise FileError("has no images", f"files that end in {', '.join(SUFFIXES)}", file=folder)
    return rows


def _by_stem(folder: Path) -> dict[str, Path]:
    files = images_in(folder)
    stems = [_TOLD.sub("", path.name[: -len(path.suffix)].removesuffix(".ome")) for path in files]
    found = dict(zip(stems, files, strict=True))
    if len(found) < len(files):
        stem = next(stem for stem in stems if stems.count(stem) > 1)
        raise DataError(
            f"has {stems.count(stem)} images called {stem!r}, but for endings such as _labels",
            "keep images and labels in folders of their own, each image once",
            file=folder,
        )
    return found


def _read(row: Mapping[str, str]) -> LabelledImage:
    path = row["image"]
    opened = read_image(path)
    if opened.shape[:3] != (1, 1, 1):
        raise DataError(
            f"has shape {opened.shape} (T, C, Z, Y, X)",
            "give one plane; of several channels one, as PATH#CHANNEL",
            file=path,
        )
    image, labels = opened.plane(), _labels(row["labels"], opened.shape[-2:])
    nuclei = _labels(row["nuclei"], opened.shape[-2:]) > 0 if row.get("nuclei") else None
    group = row.get("group") or path
    split = row.get("split", "")
    return LabelledImage(path, group, image, labels, nuclei, opened.pixel_size_um, split)


def _labels(path: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
    labels = read_labels(path)
    if labels.shape != shape:
        raise DataError(
            f"labels are {labels.shape}, the image is {shape}",
            "give labels of the same pixels",
            file=path,
        )
    if labels.size and labels.min() < 0:
        raise DataError(f"has a label of {labels.min()}", "number cells from 1", file=path)
    return labels.astype(np.int32)
