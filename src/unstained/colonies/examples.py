"""Where images of colonies come from: a detection folder, a manifest, folders, a data set."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, FileError, InputError, contents_of
from ..images.fields import Region, file_of, join_paths, open_image, read_planes, split_paths
from ..images.folders import is_image
from ..images.image import LARGEST_PIXEL_UM, Array, as_image
from ..images.read import read_labels
from ..images.sources import absolute_path, absolute_paths, parts_of
from ..images.tables import read_table
from .crops import Crop
from .deal import MIXED, UNLABELLED
from .detection_folder import (
    TABLE,
    check_places,
    open_original,
    pixel_sizes,
    read_colonies,
    read_crop,
)
from .stains import Stains
from .votes import MULTI_LABEL, as_label, check_labels, without_masks

__all__ = ["DATA_SETS", "Examples", "load_examples"]

DATA_SETS = {
    "mlcp": "Jurkat cells, brightfield: interphase, prophase, M-A-T (metaphase to telophase)",
    "mlcp+darkfield": "the same with darkfield as a second plane",
    "mlcp-7": "the seven phases of the cycle, brightfield",
    "mlcp-7+darkfield": "the same with darkfield",
}
"""Registered sets that are classified, by the name that a command takes."""

_UNLABELLED = ("", "unlabelled", "unlabeled")
_MERGED = {
    "g1": "interphase",
    "s": "interphase",
    "g2": "interphase",
    "metaphase": "M-A-T",
    "anaphase": "M-A-T",
    "telophase": "M-A-T",
}
_COLUMNS = ("image", "mask", "region", "index", "label", "group", "split")


@dataclass(frozen=True)
class Examples:
    """Images of single objects with what is known of each; they are read one by one.

    Attributes
    ----------
    table : DataFrame
        Text columns `image` (files joined by ``;`` are planes), `mask`, `region`, `index` (page
        of a stack), `label` (empty: unknown; "multi-label": several classes), `group` (empty
        where nothing is known), `split`; and whatever else there was. Of a detection folder:
        the columns of `detect_files`.
    root : Path
        That paths are relative to.
    name : str
        What errors call it.
    detected : bool
        Whether it is a detection folder.
    notes : tuple of str
        What the user should know.
    stains : Stains, optional
        Predicted for every image, as further planes of it; see `with_stains`.
    """

    table: pd.DataFrame
    root: Path
    name: str
    detected: bool = False
    notes: tuple[str, ...] = field(default=())
    stains: Stains | None = None

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are labelled, in alphabetic order."""
        return tuple(sorted(set(self.table["label"]) - {"", MULTI_LABEL}))

    def codes(self, classes: Sequence[str]) -> Array:
        """(N,) ints: the position of each label in `classes`, -1 unknown, -2 several.

        Raises
        ------
        DataError
            A label that is not among them.
        """
        code = {name: i for i, name in enumerate(classes)} | {"": UNLABELLED, MULTI_LABEL: MIXED}
        strange = sorted(set(self.table["label"]) - set(code))
        if strange:
            raise DataError(
                f"has labels {', '.join(strange)}, and the classes are {', '.join(classes)}",
                "correct the labels, or train with these classes",
                file=self.name,
            )
        return self.table["label"].map(code).to_numpy(int)

    @property
    def grouped(self) -> bool:
        """Whether groups are known."""
        return bool((self.table["group"] != "").any())

    def groups(self) -> Array:
        """(N,) names; an image without a group is its own."""
        named = self.table["group"].to_numpy(str)
        own = np.char.add("image ", np.arange(len(self)).astype(str))
        return np.where(named == "", own, named)

    def names(self) -> Array:
        """(N,) what `name_at` says, with paths that hold where rows or the folder are moved.

        Relative to `root` where they are below it, with forward slashes.
        """
        if self.detected:
            return self.table["id"].to_numpy(str)
        columns = self.table.reindex(columns=["image", "region", "index"], fill_value="")
        return np.array(
            [
                " ".join([self._portable(image), *filter(None, part)])
                for image, *part in columns.itertuples(index=False)
            ],
            str,
        )

    def take(self, indices: Array) -> Examples:
        """Some of them, in the order given."""
        return replace(self, table=self.table.iloc[indices].reset_index(drop=True))

    def name_at(self, index: int) -> str:
        """The file of an image, and the page or region in it; of a colony, its id."""
        if self.detected:
            return str(self.table["id"].iloc[index])
        row = self.table.iloc[index]
        parts = [str(row["image"]), *(str(row[k]) for k in ("region", "index") if row.get(k))]
        return " ".join(parts)

    def with_stains(self, stains: Stains | None) -> Examples:
        """The same images with predicted stains as further planes; without them for None.

        A colony of a detection folder gets the stains that its whole frame would get, an image
        or region of a manifest is predicted as it is. The pixel size is that of the detection,
        of the manifest's column `pixel_size_um`, or of the image's file; where none says it, it
        is taken to be the stain model's. Notes say what a score with stains rests on.
        """
        if stains is None:
            return replace(self, stains=None)
        stainer = stains.stainer
        notes = [
            f"planes {', '.join(stainer.names)} are predicted by a model that learned from "
            f"{stainer.learned_from}: of images whose stains it saw, scores flatter"
        ]
        if stainer.pixel_size_um is not None and self._some_size_unknown():
            notes.append(
                "images that do not say their pixel size are taken to have the "
                f"{stainer.pixel_size_um:g} um of the stain's model"
            )
        return replace(self, stains=stains, notes=(*self.notes, *notes))

    def stained_in_training(self) -> list[str]:
        """A note where the model of the stains saw stains of these groups; else nothing."""
        if self.stains is None:
            return []
        shared = sorted(set(self.table["group"]) & self.stains.stainer.taught_groups - {""})
        if not shared:
            return []
        return [
            f"the model of the stains saw stains of {len(shared)} of these groups, {shared[0]} "
            "for example: score other groups, or learn the stain from others"
        ]

    def read(self, index: int) -> Crop:
        """The pixels of an image, with stains if it has `stains`, and its mask.

        Raises
        ------
        FileError, DataError
            A file is absent or damaged, a region or page is not in it.
        """
        own = self._own(index)
        if self.stains is None:
            return own
        name = self.name_at(index)
        with contents_of(name):
            planes = self.stains.planes(
                (self.root, name), own.pixels, lambda: self._stained(index, own.pixels)
            )
        return Crop(planes, own.mask, own.pixels.dtype)

    def _stained(self, index: int, own: Array) -> Array:
        """(M, Y, X) stains of an image with these planes."""
        assert self.stains is not None
        size = self._pixel_size_um(index)
        if not self.detected:
            return self.stains.stainer(as_image(own, "CYX", pixel_size_um=size))
        row = self.table.iloc[index]
        path, t = os.path.normpath(self.root / row["image"]), int(row["t"])
        image = replace(open_original(path), pixel_size_um=size)
        window = slice(int(row["y0"]), int(row["y1"])), slice(int(row["x0"]), int(row["x1"]))
        return self.stains.stainer(image, window, t=t, frame=(path, t))

    def _own(self, index: int) -> Crop:
        """An image as its files have it."""
        row = self.table.iloc[index]
        if self.detected:
            cut = read_crop(row, self.root)
            return Crop(cut.pixels, cut.mask)
        region = Region.parse(row["region"]) if row["region"] else None
        page = int(row["index"]) if row["index"] else None
        planes = [_read(path, region, page) for path in absolute_paths(row["image"], self.root)]
        if len({plane.shape[1:] for plane in planes}) > 1:
            shapes = " and ".join(str(plane.shape[1:]) for plane in planes)
            raise DataError(
                f"planes of {self.name_at(index)} have the shapes {shapes}",
                "files of one image must be of one (Y, X): crop or resample",
                file=self.name,
            )
        mask = None
        if row["mask"]:
            labels = read_labels(absolute_path(row["mask"], self.root))
            mask = (labels if region is None else labels[region.slices]) > 0
        return Crop(np.concatenate(planes), mask)

    def _pixel_size_um(self, index: int) -> float | None:
        row = self.table.iloc[index]
        if self.detected:
            if row["image"] not in self._detected_sizes:
                raise DataError(
                    f"does not say the pixel size of {row['image']}", "detect again", file=self.root
                )
            return self._detected_sizes[row["image"]]
        if row.get("pixel_size_um"):
            return float(row["pixel_size_um"])
        path = absolute_paths(row["image"], self.root)[0]
        return (open_original(path) if row["index"] else open_image(path)).pixel_size_um

    def _some_size_unknown(self) -> bool:
        """Of a manifest without the column the first image stands for all."""
        if self.detected:
            return None in self._detected_sizes.values()
        if "pixel_size_um" in self.table:
            blank = np.flatnonzero(self.table["pixel_size_um"] == "")
        else:
            blank = np.arange(min(1, len(self)))
        return bool(blank.size) and self._pixel_size_um(int(blank[0])) is None

    @cached_property
    def _detected_sizes(self) -> dict[str, float | None]:
        return pixel_sizes(self.root)

    def _portable(self, text: str) -> str:
        parts = [Path(part.replace("\\", "/")) for part in parts_of(text, self.root)]
        inside = (p.relative_to(self.root) if p.is_relative_to(self.root) else p for p in parts)
        return join_paths([posixpath.normpath(path.as_posix()) for path in inside])


def load_examples(spec: str | os.PathLike[str]) -> Examples:
    """Images to classify, from whatever names them.

    Parameters
    ----------
    spec : str or path-like
        A folder that ``unstained colonies detect`` made; a manifest CSV with the columns
        ``image,label`` and optionally ``group``, ``mask``, ``index`` (page of a multi-page TIFF or
        of a ``.npy`` stack, from 0), ``region`` (``y0:y1,x0:x1``), ``pixel_size_um``, ``split``;
        a folder with a folder per class (``unlabelled`` and ``multi-label`` are no classes); or
        one of `DATA_SETS`. An empty label is an unknown one; ``a+b`` is "multi-label" where a and
        b are classes too. Where a manifest has no group, its column ``well`` is taken.

    Raises
    ------
    FileError, DataError, InputError
        It is none of these, a file is missing, an image is named twice, labels differ in
        capitals alone.
    """
    name = str(spec)
    path = Path(spec)
    if name in DATA_SETS and not path.exists():
        return _data_set(name)
    if path.is_dir() and (path / TABLE).is_file():
        return _detection(path)
    if path.is_dir():
        return _folders(path)
    if path.suffix.casefold() in (".csv", ".tsv", ".txt"):
        return _manifest(path)
    raise InputError(
        f"{name!r} names no images",
        "give a folder of detected colonies, a folder per class, a manifest CSV, or one of "
        + ", ".join(DATA_SETS),
    )


def _detection(folder: Path) -> Examples:
    table = read_colonies(folder)
    check_places(table, folder)
    label = _labels(table["label"], folder) if "label" in table else ""
    table = table.assign(label=label, group=table["well"].astype(str), split="")
    return _checked(Examples(table, folder.resolve(), str(folder), detected=True))


def _labels(column: pd.Series[Any], folder: Path) -> pd.Series[str]:
    """Of a table that others may have written: codes of classes are no names."""
    label = column.astype(object).where(column.notna(), "")
    if not label.map(lambda value: isinstance(value, str)).all():
        raise DataError(
            f"column label holds {column.dtype}", "write classes as text", file=folder / TABLE
        )
    return label


def _manifest(path: Path) -> Examples:
    table = read_table(path)
    if "image" not in table or "label" not in table:
        raise DataError(
            f"has the columns {', '.join(table.columns)}",
            "name the columns image,label (and group, mask, index, region, split)",
            file=path,
        )
    if "group" not in table and "well" in table:
        table["group"] = table["well"]
    blank = np.flatnonzero(table["image"].str.strip(" ;") == "")
    if blank.size:
        raise DataError(f"row {blank[0] + 1} names no image", "give its path", file=path)
    examples = Examples(_with_columns(table), path.parent.resolve(), str(path))
    for column in ("image", "mask"):
        _check_files(examples, column)
    return _checked(examples)


def _folders(folder: Path) -> Examples:
    files, notes = without_masks(sorted(_images_below(folder)))
    images = [file.relative_to(folder) for file in files]
    classified = [image for image in images if len(image.parts) == 2]
    if n := len(images) - len(classified):
        misplaced = next(image for image in images if len(image.parts) != 2)
        notes += (
            f"{n} images were left out, {misplaced.as_posix()} for example: they do not lie "
            "directly in the folder of a class",
        )
    rows = [{"image": image.as_posix(), "label": image.parts[0]} for image in classified]
    if not rows:
        raise DataError(
            "has no folders with images in them",
            "make one folder per class, or detect colonies first",
            file=folder,
        )
    table = _with_columns(pd.DataFrame(rows))
    return _checked(Examples(table, folder.resolve(), str(folder), notes=notes))


def _images_below(folder: Path) -> Iterator[Path]:
    """Images however deep; a ``.zarr`` is one, and what is hidden is none.

    The folder of a class may be a link; links below are not followed, as they may lead back.
    """
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    yield from (path for path in inside if is_image(path))
    for of_class in inside:
        if not of_class.is_dir() or of_class.suffix.casefold() == ".zarr":
            continue
        for here, folders, files in os.walk(of_class):
            folders[:] = [name for name in folders if not name.startswith(".")]
            names = (*folders, *files)
            yield from (Path(here, name) for name in names if is_image(Path(name)))
            folders[:] = [name for name in folders if Path(name).suffix.casefold() != ".zarr"]


def _data_set(name: str) -> Examples:
    from ..datasets.standard import standard_pairs

    pairs = standard_pairs("mlcp")
    cells = pairs.table[pairs.table["group"] == "experiment_1"]
    planes = slice(None) if name.endswith("+darkfield") else slice(1)
    image = [";".join(split_paths(files)[planes]) for files in cells["phase"]]
    label = cells["phase_of_cycle"]
    if not name.startswith("mlcp-7"):
        label = label.replace(_MERGED)
    table = pd.DataFrame({"image": image, "label": label, "region": cells["region"]})
    return Examples(_with_columns(table.reset_index(drop=True)), pairs.root or Path(), name)


def _with_columns(table: pd.DataFrame) -> pd.DataFrame:
    missing = {column: "" for column in _COLUMNS if column not in table}
    return table.assign(**missing)


def _check_files(examples: Examples, column: str) -> None:
    """Every file that a manifest names is there."""
    named = examples.table[column]
    rows_of = named[named != ""].drop_duplicates()
    lost = [
        (row, part)
        for row, text in rows_of.items()
        for part in parts_of(text, examples.root)
        if not file_of(absolute_path(part, examples.root)).exists()
    ]
    if lost:
        row, part = lost[0]
        raise FileError(
            f"{len(lost)} files of the column {column!r} are not there; the first is {part} in "
            f"row {int(str(row)) + 1}",
            "paths are relative to the manifest",
            file=examples.name,
        )


def _checked(examples: Examples) -> Examples:
    table = examples.table
    if not len(table):
        raise DataError("has no images", "add rows", file=examples.name)
    said = table["label"].str.strip()
    known = set(said)
    label = said.where(~said.str.casefold().isin(_UNLABELLED), "")
    label = label.map(lambda text: as_label(text, known))
    with contents_of(examples.name):
        check_labels(sorted(set(label) - {""}), None)
    notes = examples.notes
    joined = said[(label == MULTI_LABEL) & said.str.contains("+", regex=False)]
    if len(joined):
        notes += (f"{len(joined)} images are of several classes, as {joined.iloc[0]!r} says",)
    examples = replace(examples, table=table.assign(label=label), notes=notes)
    if not examples.detected:
        files = [join_paths(absolute_paths(text, examples.root)) for text in table["image"]]
        _check_places(examples)
        # one page, or region, may be written in several ways: 1 and 01
        index = table["index"].map(lambda text: str(int(text)) if text else "")
        region = table["region"].map(lambda text: str(Region.parse(text)) if text else "")
        placed = table.assign(image=files, index=index, region=region)
        twice = placed.duplicated(["image", "region", "index"])
        if twice.any():
            row = int(np.flatnonzero(twice)[0])
            raise DataError(
                f"names {int(twice.sum())} images twice, the first again in row {row + 1}: "
                f"{examples.name_at(row)}",
                "an image on two sides of a split would flatter the score: remove the rows",
                file=examples.name,
            )
    return examples


def _check_places(examples: Examples) -> None:
    """Pages are numbers, regions can be read."""
    for row, text in enumerate(examples.table["region"]):
        if not text:
            continue
        try:
            Region.parse(text)
        except InputError as error:
            reason = f"row {row + 1}: {error.reason}"
            raise DataError(reason, error.remedy, file=examples.name) from error
    for row, text in enumerate(examples.table["index"]):
        if text and not text.isdecimal():
            raise DataError(
                f"row {row + 1} has the index {text!r}",
                "give the page of the stack, from 0",
                file=examples.name,
            )
    sizes = examples.table.get("pixel_size_um", pd.Series(dtype=str))
    given = pd.to_numeric(sizes[sizes != ""], errors="coerce")
    wrong = given[~((given > 0) & (given <= LARGEST_PIXEL_UM))]
    if len(wrong):
        row = int(str(wrong.index[0]))
        raise DataError(
            f"row {row + 1} has the pixel_size_um {sizes[row]!r}",
            f"give micrometers, above 0 and at most {LARGEST_PIXEL_UM:g}, or leave it blank",
            file=examples.name,
        )


def _read(path: str, region: Region | None, page: int | None) -> Array:
    """(P, Y, X) of a file, or of one page of a stack."""
    if page is None:
        return read_planes(path, region)
    image = open_original(path)
    pages = image.shape[0] * image.n_planes if image.shape[0] == 1 else image.shape[0]
    if page >= pages:
        raise DataError(
            f"has {pages} pages, and page {page} is asked for", "count from 0", file=path
        )
    if region is not None and (region.y1 > image.shape[3] or region.x1 > image.shape[4]):
        raise DataError(
            f"region {region} reaches outside the image of {image.shape[3]} x {image.shape[4]} px",
            "correct the region in the manifest",
            file=path,
        )
    ys, xs = (slice(None), slice(None)) if region is None else region.slices
    if image.shape[0] > 1:
        return image.planes(page, ys, xs)
    c, z = divmod(page, image.shape[2])
    return np.asarray(image.data[0, c, z, ys, xs])[None]
