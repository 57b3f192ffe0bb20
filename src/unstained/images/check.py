"""The doctor of paired data: what is wrong with each pair, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, UnstainedError, count_of, refuse_name
from .duplicates import content_hash, correlation, exact_twins, near_twins, thumbnail
from .fields import (
    Field,
    Region,
    full_shape,
    open_image,
    read_planes,
    split_paths,
)
from .findings import CheckReport, CheckSettings, Problem
from .image import Array
from .pairs import Pairs
from .quality import ImageQuality, image_quality, saturation, spectrum
from .register import Offset, edge_map, offset_of_edges, phase_edges
from .splits import check_split

__all__ = ["CheckReport", "CheckSettings", "Problem", "check_pairs"]

_LEAST_PX = 3  # each way, of which noise can be told


def check_pairs(
    pairs: Pairs,
    settings: CheckSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Look at every image of every pair.

    Per pair: whether it can be read, shapes and pixel sizes, NaN, constant or empty images,
    a stain that is a copy of the input or was predicted, saturation, focus (against the others),
    background, noise and both signal-to-noise ratios, and the offset of the stain. Over the set:
    fields that occur twice, exactly or nearly, and splits that leak. Nothing is raised for what
    is wrong with an image: it is reported, and the rest is still looked at.

    Parameters
    ----------
    pairs : Pairs
    settings : CheckSettings, optional
    progress : callable, optional
        Called with image pairs done and in all.
    """
    refuse_name(pairs, "pairs", "load_pairs({})")
    doctor = _Doctor(pairs, settings or CheckSettings())
    units = pairs.table.drop_duplicates(["phase", "stain", "marker"])
    units = units.sort_values("phase", kind="stable")
    for done, row in enumerate(units.to_dict("records"), 1):
        doctor.look_at({str(key): value for key, value in row.items()})
        if progress is not None:
            progress(done, len(units))
    doctor.look_at_fields()
    doctor.register_small()
    doctor.compare_planes()
    doctor.compare_focus()
    doctor.find_duplicates()
    doctor.look_at_groups()
    return doctor.report()


class _Doctor:
    """Collects measurements and findings, one image pair after another."""

    def __init__(self, pairs: Pairs, settings: CheckSettings) -> None:
        self.pairs, self.settings = pairs, settings
        self.fields = pairs.fields()
        self.rows: list[dict[str, Any]] = []
        self.problems: list[Problem] = []
        self.broken: set[str] = set()  # paths that cannot be measured
        self.cells: dict[str, list[Region]] = {}  # of a montage
        for one in self.fields:
            if one.row["cell"] and one.region is not None:
                self.cells.setdefault(one.phase, []).append(one.region)
        self.edges: tuple[str, Array] | None = None  # of the phase last seen
        self.looked: dict[str, tuple[bool, float, float]] = {}  # phase: (good, clipped, sharp)
        self.planes: dict[str, int] = {}  # of each phase
        self.sound: list[Field] = []  # which can be read, region and all

    def say(self, severity: str, kind: str, where: str, found: str, remedy: str) -> None:
        problem = Problem(severity, kind, where, found, remedy)
        if problem not in self.problems:
            self.problems.append(problem)

    def short(self, path: str) -> str:
        paths = split_paths(path)
        first = self.pairs.relative(paths[0])
        return first if len(paths) == 1 else f"{first} ... {self.pairs.relative(paths[-1])}"

    def look_at(self, row: dict[str, Any]) -> None:
        phase_path, stain_path = row["phase"], row["stain"]
        measured: dict[str, Any] = {
            "marker": row["marker"],
            "phase": self.short(phase_path),
            "stain": self.short(stain_path),
            "group": row["group"],
            "cells": bool(row["cell"]),
            "_phase": phase_path,
            "_stain": stain_path,
        }
        self.rows.append(measured)
        try:
            self._look_at_headers(row)
            region = self._middle(full_shape(stain_path))
            cells = self.cells.get(phase_path, [])
            phase = mosaic(self._read(phase_path, region), cells)
            stain = mosaic(self._read(stain_path, region), cells)
        except UnstainedError as error:
            self.broken.update((phase_path, stain_path))
            file = self.short(error.file) if error.file else self.short(stain_path)
            kind = error.kind if isinstance(error, _Wrong) else _kind(error)
            self.say("error", kind, file, error.reason, error.remedy or "mend or remove the row")
            return
        if len(stain) != 1:
            self.broken.add(stain_path)
            remedy = (
                "choose a channel with #CHANNEL and a plane with #z=3, or project the stack first"
            )
            found = f"a stain is one plane, this has {len(stain)}"
            self.say("error", "planes", self.short(stain_path), found, remedy)
            return
        if min(stain[0].shape) < _LEAST_PX:
            self.broken.add(stain_path)
            found = f"is {stain[0].shape[0]} x {stain[0].shape[1]} px, too small to be looked at"
            self.say("error", "size", self.short(stain_path), found, "leave the row out")
            return
        self.planes[phase_path] = len(phase)
        good, clipped, sharp = self._look_at_phase(phase_path, phase)
        measured |= {"phase_saturation": clipped, "phase_sharpness": sharp}
        quality = image_quality(stain[0])
        measured |= {k: v for k, v in asdict(quality).items() if k != "constant"}
        self._judge_stain(stain_path, row["marker"], quality, phase, stain[0])
        if good and not quality.constant and not self._is_small(row):
            if self.edges is None or self.edges[0] != phase_path:
                self.edges = (phase_path, phase_edges(phase))
            offset = offset_of_edges([(self.edges[1], edge_map(stain[0]))])
            self._judge_offset(offset, [measured], measured["stain"])

    def _look_at_headers(self, row: dict[str, Any]) -> None:
        paths = [*split_paths(row["phase"]), row["stain"]]
        shapes = [full_shape(path) for path in paths]
        for path, shape in zip(paths, shapes, strict=True):
            if shape != shapes[0]:
                ratio = [b / a for a, b in zip(shapes[0], shape, strict=True)]
                same = abs(ratio[0] - ratio[1]) < 0.01
                binned = f"; one is {max(ratio[0], 1 / ratio[0]):.3g} times larger" if same else ""
                raise _Wrong(
                    "shape",
                    f"is {shape[0]} x {shape[1]} px, {self.short(paths[0])} is "
                    f"{shapes[0][0]} x {shapes[0][1]} px{binned}",
                    "resample one to the other's pixel size" if same else "pair the right files",
                    path,
                )
        if open_image(row["stain"]).predicted:
            found = "was predicted by a model, and measured by nobody"
            remedy = "pair it with the stain itself: a score against a prediction says nothing"
            self.say("error", "predicted", self.short(row["stain"]), found, remedy)
            self.broken.add(row["stain"])  # is looked at, and read with no others
        sizes = {path: open_image(path).pixel_size_um for path in paths}
        known = {path: size for path, size in sizes.items() if size}
        if math.isfinite(row["pixel_size_um"]):
            known["the manifest"] = row["pixel_size_um"]
        if known and max(known.values()) > 1.01 * min(known.values()):
            named = ", ".join(f"{self.short(p)} {size:g} um" for p, size in known.items())
            remedy = "they do not show the same field at one scale: resample, or correct the size"
            self.say("error", "scale", self.short(row["stain"]), f"pixel sizes: {named}", remedy)

    def _middle(self, shape: tuple[int, int]) -> Region | None:
        most = self.settings.large_px
        if max(shape) <= most:
            return None
        y0, x0 = (max(0, (n - most) // 2) for n in shape)
        return Region(y0, min(shape[0], y0 + most), x0, min(shape[1], x0 + most))

    def _read(self, joined: str, region: Region | None) -> Array:
        blocks = []
        for path in split_paths(joined):
            planes = read_planes(path, region)
            if planes.dtype.kind == "f" and not np.isfinite(planes).all():
                bad = int(np.count_nonzero(~np.isfinite(planes)))
                raise _Wrong(
                    "nan", f"{bad} pixels are NaN or infinite", "repair it or leave it out", path
                )
            blocks.append(planes)
        return np.concatenate(blocks)

    def _is_small(self, row: dict[str, Any]) -> bool:
        return bool(row["cell"]) or min(full_shape(row["stain"])) < self.settings.small_px

    def _look_at_phase(self, path: str, phase: Array) -> tuple[bool, float, float]:
        """Whether it can be registered, its worst saturation, its best sharpness."""
        if path in self.looked:
            return self.looked[path]
        flat = [i for i, plane in enumerate(phase) if plane.min() == plane.max()]
        if flat:
            which = f"plane {', '.join(map(str, flat))} is" if len(phase) > 1 else "the image is"
            found = f"{which} constant ({phase[flat[0]].flat[0]:g})"
            self.say("error", "constant", self.short(path), found, "leave it out: nothing to learn")
        chosen = np.unique(np.linspace(0, len(phase) - 1, 5).round().astype(int))
        seen = [spectrum(phase[i]).sharpness for i in chosen if i not in flat]
        sharp = max((s for s in seen if math.isfinite(s)), default=math.nan)
        clipped = max(saturation(plane) for plane in phase)
        self._judge_saturation(path, clipped, "label-free image")
        self.looked[path] = (not flat, clipped, sharp)
        return self.looked[path]

    def _judge_saturation(self, path: str, share: float, what: str) -> None:
        if share > self.settings.saturated:
            severe = "error" if share > self.settings.saturated_error else "warning"
            found = f"{100 * share:.2g} % of the {what} is saturated"
            remedy = "expose shorter; what is clipped is lost, and intensities are no measure there"
            self.say(severe, "saturation", self.short(path), found, remedy)

    def _judge_stain(
        self, path: str, marker: str, quality: ImageQuality, phase: Array, stain: Array
    ) -> None:
        where = self.short(path)
        if quality.constant:
            found = f"{marker} is constant ({quality.background:g})"
            self.say("error", "constant", where, found, "leave it out: there is no stain")
            return
        self._judge_saturation(path, quality.saturation, f"{marker} image")
        alike = max((abs(correlation(plane, stain)) for plane in phase), default=0.0)
        if alike > self.settings.copy_r:
            found = f"{marker} is a copy of its label-free image (r = {alike:.4f})"
            self.say("error", "copy", where, found, "name the stain's own file in the manifest")
        elif quality.snr_var < 0.05 or not math.isfinite(quality.snr_rms) or not quality.snr_rms:
            found = f"{marker} shows nothing above its noise (snr_var {quality.snr_var:.2g})"
            self.say(
                "warning", "empty", where, found, "expose longer, or leave it out as unstained"
            )
        elif quality.c_max < self.settings.c_max:
            found = f"{marker} is noisy: no prediction can pass r = {quality.c_max:.2f} (c_max)"
            self.say("warning", "noise", where, found, "expose longer or average frames")
        if quality.smoothed:
            found = f"{marker} has been enlarged, smoothed or denoised"
            remedy = "use the raw image: noise and c_max cannot be told from this one"
            self.say("note", "smoothed", where, found, remedy)

    def _judge_offset(self, offset: Offset, rows: list[dict[str, Any]], where: str) -> None:
        for row in rows:
            row |= {
                "offset_y_px": offset.y_px,
                "offset_x_px": offset.x_px,
                "offset_error_px": offset.error_px,
                "offset_confidence": offset.confidence,
                "offset_sure": offset.sure,
            }
        if not offset.sure:
            self.say(
                "note",
                "offset unknown",
                where,
                f"edges agree too little to tell an offset (confidence {offset.confidence:.1f})",
                "look at an overlay; unrelated files look like this too",
            )
            return
        beyond = offset.size_px - 2 * offset.error_px
        if beyond > self.settings.offset_px:
            found = (
                f"the stain lies {_side(offset.y_px, 'down', 'up')} and "
                f"{_side(offset.x_px, 'right', 'left')} (error {offset.error_px:.1f} px)"
            )
            severe = "error" if beyond > self.settings.offset_error_px else "warning"
            remedy = "register them: --corrected DIR writes moved stains and a new manifest"
            self.say(severe, "offset", where, found, remedy)

    def look_at_fields(self) -> None:
        """Regions that leave their image, and labels that do not fit it."""
        for one in self.fields:
            if one.phase not in self.broken:
                self._look_at_labels(one)
                if self._inside(one):
                    self.sound.append(one)

    def _look_at_labels(self, one: Field) -> None:
        if not one.labels:
            return
        try:
            labels, image = full_shape(one.labels), full_shape(split_paths(one.phase)[0])
        except UnstainedError as error:
            self.say(
                "error", _kind(error), self.short(one.labels), error.reason, error.remedy or ""
            )
            return
        if labels not in (image, one.shape):
            found = f"labels are {labels[0]} x {labels[1]} px, the image {image[0]} x {image[1]}"
            self.say("error", "shape", self.short(one.labels), found, "give the image's own labels")

    def _inside(self, one: Field) -> bool:
        shape, region = full_shape(split_paths(one.phase)[0]), one.region
        if region is None or (region.y1 <= shape[0] and region.x1 <= shape[1]):
            return True
        found = f"region {region} reaches outside the image of {shape[0]} x {shape[1]} px"
        self.say("error", "region", self.short(one.phase), found, "correct the region")
        return False

    def register_small(self) -> None:
        """One offset for the small images of each marker and group together."""
        sets: dict[tuple[str, str], list[Field]] = {}
        for one in self.sound:
            for marker, stain in one.stains.items():
                bad = stain in self.broken
                if not bad and self._is_small({"cell": one.row["cell"], "stain": stain}):
                    sets.setdefault((marker, one.group), []).append(one)
        for (marker, group), members in sets.items():
            most = min(self.settings.most_small, len(members))
            chosen = np.linspace(0, len(members) - 1, most).round().astype(int)
            edges = []
            for one in (members[i] for i in chosen):
                phase, stain = one.read_phase(), one.read_stain(marker)
                edges.append((phase_edges(phase), edge_map(stain)))
            rows = [r for r in self.rows if (r["marker"], r["group"]) == (marker, group)]
            small = [r for r in rows if "offset_y_px" not in r]
            self._judge_offset(offset_of_edges(edges), small, f"{marker}, all of group {group}")

    def compare_focus(self) -> None:
        """Images much blurrier than the others of their kind."""
        kinds: dict[str, dict[str, float]] = {}
        for row in self.rows:
            if "sharpness" in row and not row["cells"]:  # montages differ by what their cells are
                kinds.setdefault(f"{row['marker']} image", {})[row["stain"]] = row["sharpness"]
                kinds.setdefault("label-free image", {})[row["phase"]] = row["phase_sharpness"]
        for kind, images in kinds.items():
            sharp = np.log(np.maximum(np.array(list(images.values())), 1e-6))
            known = sharp[np.isfinite(sharp)]
            if known.size < self.settings.focus_n:
                continue
            middle = float(np.median(known))
            spread = max(1.4826 * float(np.median(np.abs(known - middle))), 0.05)
            for (where, _), value in zip(images.items(), sharp, strict=True):
                z = (middle - float(value)) / spread
                if z > self.settings.focus_z:
                    found = (
                        f"{kind} is blurred: sharpness {math.exp(value):.2g}, "
                        f"the others {math.exp(middle):.2g}"
                    )
                    self.say(
                        "warning", "focus", where, found, "look at it; refocus or leave it out"
                    )

    def find_duplicates(self) -> None:
        """Fields and stains that occur twice."""
        good = self.sound
        hashes, small = [], []
        for one in good:
            planes = self._part(one, split_paths(one.phase))
            hashes.append(content_hash(planes))
            small.append(thumbnail(planes[len(planes) // 2]))
        shown = exact_twins(hashes)
        for twin in shown:
            self._judge_twin(good[twin.first], good[twin.second], "label-free image", 1.0)
        for i, j in near_twins(np.stack(small)) if small else []:
            if hashes[i] != hashes[j]:
                pair = [self._part(good[k], split_paths(good[k].phase)) for k in (i, j)]
                r = correlation(*(planes[len(planes) // 2] for planes in pair))
                if r >= self.settings.near_r:
                    self._judge_twin(good[i], good[j], "label-free image", r)
        for marker in self.pairs.markers:
            having = [f for f in good if marker in f.stains and f.stains[marker] not in self.broken]
            stains = [content_hash(self._part(f, [f.stains[marker]])) for f in having]
            for twin in exact_twins(stains):
                first, second = having[twin.first], having[twin.second]
                if not (first.phase == second.phase and first.region == second.region):
                    self._judge_twin(first, second, f"{marker} image", 1.0)

    def _part(self, one: Field, paths: list[str]) -> Array:
        region = one.region or self._middle(full_shape(paths[0]))
        return np.concatenate([read_planes(path, region) for path in paths])

    def _judge_twin(self, first: Field, second: Field, what: str, r: float) -> None:
        exact = r > 0.99
        apart = first.group != second.group or first.split != second.split
        groups = (
            f"groups {first.group} and {second.group}"
            if first.group != second.group
            else f"group {first.group}"
        )
        found = f"the same {what}" + ("" if r == 1.0 else f" but for noise (r = {r:.4f})")
        self.say(
            "error" if exact and apart else "warning",
            "duplicate" if exact else "near duplicate",
            f"{first.id} and {second.id}",
            f"{found}, in {groups}",
            "remove one" + (", or put both into one group" if apart else ""),
        )

    def compare_planes(self) -> None:
        """Label-free images of other planes than most: a network takes one number of them."""
        counts = list(self.planes.values())
        usual = max(counts, key=counts.count, default=0)
        for path, count in self.planes.items():
            if count != usual:
                found = f"has {count_of(count, 'label-free plane')}, most images {usual}"
                remedy = "choose a channel with #CHANNEL, or give all images the same planes"
                self.say("error", "planes", self.short(path), found, remedy)

    def look_at_groups(self) -> None:
        """Too few groups or fields, and splits that are not whole or leak."""
        name = self.pairs.name
        split = self.pairs.table["split"]
        if (split != "").any() and (split == "").any():
            found = f"{(split == '').sum()} of {len(split)} rows have no split"
            self.say("error", "split", name, found, "give every row a split, or none")
        elif (split != "").any() and not (split == "train").any():
            found = "no row is of the split train"
            self.say("warning", "split", name, found, "name training pairs, or only score on these")
        try:
            check_split(self.pairs)
        except DataError as error:
            self.say("error", "split", name, error.reason, error.remedy)
        if len(self.pairs.groups) == 1:
            self.say(
                "warning",
                "one group",
                name,
                f"all pairs are of one group ({self.pairs.groups[0]})",
                "scores will say nothing about another donor, well or day: add a second group",
            )
        for note in self.pairs.notes:
            self.say("note", "assumed", name, note, "")
        few = {
            marker: count
            for marker, count in self._fields_of_markers().items()
            if count < self.settings.few_fields
        }
        if few:
            found = ", ".join(f"{marker} has {count_of(n, 'field')}" for marker, n in few.items())
            self.say("note", "few fields", name, found, "enough for outlines; hundreds are better")

    def _fields_of_markers(self) -> dict[str, int]:
        images = self.pairs.table.drop_duplicates(["phase", "cell", "marker"])
        return {marker: int((images["marker"] == marker).sum()) for marker in self.pairs.markers}

    def report(self) -> CheckReport:
        order = {"error": 0, "warning": 1, "note": 2}
        problems = sorted(self.problems, key=lambda problem: order[problem.severity])
        counts = {
            "rows": len(self.pairs),
            "fields": len(self.fields),
            "groups": len(self.pairs.groups),
            "fields_of": self._fields_of_markers(),
        }
        table = pd.DataFrame(self.rows).reindex(columns=[*_COLUMNS, "_phase", "_stain"])
        table["offset_sure"] = table["offset_sure"].eq(True)
        return CheckReport(self.pairs.name, counts, table, tuple(problems))


_COLUMNS = (
    *("marker", "phase", "stain", "group", "cells"),
    *("offset_y_px", "offset_x_px", "offset_error_px", "offset_confidence", "offset_sure"),
    *("background", "noise_sd", "snr_rms", "snr_var", "c_max", "saturation", "sharpness"),
    *("smoothed", "phase_saturation", "phase_sharpness"),
)


class _Wrong(DataError):
    """A finding that ends the check of one pair; `kind` as in `Problem`."""

    def __init__(self, kind: str, reason: str, remedy: str, file: str) -> None:
        super().__init__(reason, remedy, file=file)
        self.kind = kind


def mosaic(planes: Array, regions: list[Region]) -> Array:
    """The single cells of a montage, side by side, without its padding; all of it without cells.

    Parameters
    ----------
    planes : (P, Y, X) array
    regions : list of Region
        Of one shape; where they fill no square, the last few are left out.
    """
    side = math.isqrt(len(regions))
    inside = all(r.y1 <= planes.shape[1] and r.x1 <= planes.shape[2] for r in regions)
    if not side or not inside or len({region.shape for region in regions}) > 1:
        return planes
    cut = [planes[(slice(None), *region.slices)] for region in regions[: side * side]]
    rows = [np.concatenate(cut[i * side : (i + 1) * side], axis=2) for i in range(side)]
    return np.concatenate(rows, axis=1)


def _kind(error: UnstainedError) -> str:
    return "unreadable" if isinstance(error, OSError) else "unusable"


def _side(value: float, plus: str, minus: str) -> str:
    return f"{abs(value):.1f} px {plus if value > 0 else minus}"
