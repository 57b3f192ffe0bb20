"""Which stains belong to which segmented image: by the image's name, or by a manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..cell_table import plain_name
from ..errors import DataError, FileError
from ..images.folders import images_in
from ..images.image import Image
from ..images.read import drop_ome, name_of_source, read_image, split_joined, split_selector
from .segmentation_folder import Segmented
from .segmentation_sources import image_key, is_of_labels

__all__ = ["Channels", "label_free", "label_free_name", "own_stains", "stains_of"]


class Channels(NamedTuple):
    """Channels of one image by name, each with the file that it comes from."""

    images: dict[str, Image]
    files: dict[str, str]


def stains_of(images: Sequence[Segmented], stains: str | Path) -> dict[str, Channels]:
    """Find the stains of each image, measured or predicted.

    Parameters
    ----------
    images : sequence of Segmented
    stains : path-like
        A folder: ``NAME.*``, as ``unstained staining predict`` writes it, whose channels are the
        markers, or ``NAME_MARKER.*`` with one channel; NAME is that of the image or of its file
        (see `_names`); what ends as labels do (``NAME_nuclei.*``) is no stain. Or a manifest CSV
        with the columns phase, stain, marker, group, as for training; each field of a file with
        several has its own rows (``x.czi#field=2``).

    Returns
    -------
    dict of str to Channels
        By the name of the image.

    Raises
    ------
    FileError
        There is no such folder or manifest.
    DataError
        An image has no stain, or two of one marker; a stain does not fit its image, or its name
        fits several.
    """
    path = Path(stains)
    if not path.exists():
        raise FileError("does not exist", "name a folder of stains or a manifest CSV", file=path)
    manifest = path.suffix.lower() == ".csv"
    pairs = _of_manifest(images, path) if manifest else _of_folder(images, path)
    found: dict[str, Channels] = {}
    for segmented in images:
        of_image = Channels({}, {})
        for file, marker in pairs[segmented.image]:
            _add(of_image, segmented, file, marker)
        if not of_image.images:
            what = (
                "names no stain for" if manifest else f"has no {segmented.image}.* with stains of"
            )
            raise DataError(
                f"{what} image {segmented.image}",
                "predict the stains of the images that were segmented, or give a manifest CSV",
                file=path,
            )
        found[segmented.image] = of_image
    return found


def own_stains(segmented: Segmented, names: Sequence[str]) -> Channels:
    """Channels of the segmented image's own file that are stains.

    Raises
    ------
    DataError
        There is no such channel.
    """
    file = _file_and_field(segmented.image_path)
    own = Channels({}, {})
    for name in names:
        _add(own, segmented, f"{file}#{name}", None)
    return own


def label_free(segmented: Segmented) -> dict[str, Image]:
    """The channel in which the cells were outlined, by name; none for labels without an image."""
    if segmented.path is None:
        return {}
    image = segmented.open_image()
    return {label_free_name(image.channels[0].name): image}


def label_free_name(channel: str) -> str:
    """What the only label-free channel is called: ``image`` where its file does not name it."""
    return "image" if re.fullmatch(r"C\d+", channel) else channel


def _add(channels: Channels, segmented: Segmented, file: str, marker: str | None) -> None:
    """Each channel of a file; its only one under the name `marker`, where that is given."""
    image = read_image(file)
    if marker is not None and len(image.channels) > 1:
        raise DataError(
            f"has {len(image.channels)} channels and is to be marker {marker}",
            "give a file of one channel, or choose one as PATH#NAME",
            file=file,
        )
    frames, _, z, *size = image.shape
    wanted = (segmented.frames, 1, *segmented.labels_image.shape[-2:])
    if (frames, z, *size) != wanted:
        raise DataError(
            f"has {frames} frames, {z} planes in z, {size[0]} x {size[1]} pixels; the outlines of "
            f"{segmented.image} have {wanted[0]}, 1, {wanted[2]} x {wanted[3]}",
            "give stains of the very image that was segmented",
            file=file,
        )
    for channel in image.channels:
        name = marker or channel.name
        if name in channels.images:
            raise DataError(
                f"image {segmented.image} has two stains {name}: {channels.files[name]} and {file}",
                "keep one of them",
            )
        channels.images[name] = image.channel(channel.name)
        channels.files[name] = file


def _of_folder(
    images: Sequence[Segmented], folder: Path
) -> dict[str, list[tuple[str, str | None]]]:
    """(file, marker) of each image; marker None where the file's channels name them.

    A file belongs to the longest name of an image that it begins with, so that
    ``well_1_CD105.tif`` is of ``well_1`` and not of ``well``.
    """
    if not folder.is_dir():
        raise FileError("is no folder", "give a folder of stains or a manifest CSV", file=folder)
    found: dict[str, list[tuple[str, str | None]]] = {one.image: [] for one in images}
    # pictures of predictions (NAME.png beside NAME.ome.zarr) are for people
    suffixes = {".png": 1, ".jpg": 1, ".jpeg": 1}
    listed = images_in(folder)
    stems = {p: drop_ome(p.stem) for p in listed}
    better = {stems[p] for p in listed if p.suffix.lower() not in suffixes}
    segmented = {
        split_selector(one.image_path).path.resolve() for one in images if one.path is not None
    }
    names = _names(images)
    for path, stem in stems.items():
        if path.suffix.lower() in suffixes and stem in better:
            continue
        if path.resolve() in segmented:  # the images may lie beside their stains
            continue
        owners, marker = _owners(stem, names)
        if len(owners) > 1:
            raise DataError(
                f"may be of image {' or '.join(owners)}",
                f"name it after one of them ({owners[0]}_MARKER), or give a manifest CSV",
                file=path,
            )
        if owners:
            found[owners[0]].append((str(path), marker))
    return found


def _names(images: Sequence[Segmented]) -> dict[str, list[str]]:
    """Images by each name under which their stains may go, without regard to case.

    Their own name in the folder; that of results of their file, as predictions have it
    (`name_of_source`: ``x_2_phase`` of ``x.czi#field=2#phase``, which is here ``x-field2``), with
    and without the channel; and what the names of an image and of its labels have in common
    (`image_key`). A name that is an image's own is of no other.
    """
    names: dict[str, list[str]] = {}
    for one in images:
        texts = {one.image}
        if one.path is not None:
            texts.add(name_of_source(one.image_path))
            texts.add(name_of_source(_file_and_field(one.image_path)))
        for key in {text.casefold() for text in texts} | {image_key(text) for text in texts}:
            names.setdefault(key, []).append(one.image)
    return names | {one.image.casefold(): [one.image] for one in images}


def _owners(stem: str, names: dict[str, list[str]]) -> tuple[list[str], str | None]:
    """The images whose stain a file may be, and its marker where the name says it."""
    for text in (stem, plain_name(stem)):  # "well 1_CD105" is of well-1
        if text.casefold() in names:
            return names[text.casefold()], None
    if is_of_labels(stem):  # a_labels, a_nuclei, a_phase: no stain
        return [], None
    for text in (stem, plain_name(stem)):
        of = [key for key in names if text[: len(key) + 1].casefold() == f"{key}_"]
        if of:
            key = max(of, key=len)
            return names[key], text[len(key) + 1 :] or None
    return [], None


def _of_manifest(
    images: Sequence[Segmented], manifest: Path
) -> dict[str, list[tuple[str, str | None]]]:
    """(file, marker) of each image, found by its file and the field in it."""
    from ..images.sources import load_pairs

    table = load_pairs(manifest).table
    stains: dict[tuple[Path, int], dict[tuple[str, str | None], None]] = {}
    for phase, stain, marker in zip(table["phase"], table["stain"], table["marker"], strict=True):
        # once, however many regions of a field the manifest has
        stains.setdefault(_field(split_joined(phase)[0]), {})[stain, marker] = None
    return {one.image: list(stains.get(_field(one.image_path), {})) for one in images}


def _field(spec: str) -> tuple[Path, int]:
    """What is one image, whichever of its channels is chosen; a file's only field is its first."""
    chosen = split_selector(spec)
    return chosen.path.resolve(), chosen.field or 0


def _file_and_field(spec: str) -> str:
    """Without the channel."""
    chosen = split_selector(spec)
    return f"{chosen.path}" if chosen.field is None else f"{chosen.path}#field={chosen.field}"
