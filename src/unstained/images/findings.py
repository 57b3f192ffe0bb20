"""What a check of paired data finds, and how it is reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from ..errors import count_of
from ..settings import check_settings
from .atomic import json_text

__all__ = ["CheckReport", "CheckSettings", "Problem"]


@dataclass(frozen=True)
class CheckSettings:
    """Thresholds beyond which something counts as a finding.

    The offset limits lie above what registered images of two modalities still show: 1.2 to
    3.0 px with errors of 0.6 to 0.9 on the `isl` field.
    """

    offset_px: float = 2.0
    """A sure offset is reported beyond this, its error (twice) allowed for."""
    offset_error_px: float = 5.0
    """Beyond this the pairs are not usable as they are."""
    saturated: float = 0.001
    """Share of clipped pixels that is reported."""
    saturated_error: float = 0.1
    c_max: float = 0.7
    """Noise that keeps any prediction below this correlation is reported."""
    focus_z: float = 5.0
    """Robust standard deviations below the median sharpness of the set."""
    focus_n: int = 8
    """Images that it takes to speak of a median."""
    copy_r: float = 0.999
    near_r: float = 0.9
    """Full-resolution correlation of two fields that counts as the same field twice."""
    large_px: int = 4096
    """Of larger images the middle is measured."""
    small_px: int = 128
    """Smaller images are registered together, all of one marker and group."""
    most_small: int = 100
    few_fields: int = 20

    def __post_init__(self) -> None:
        check_settings(
            self,
            least=dict.fromkeys(("focus_n", "large_px", "small_px", "most_small"), 1),
            shares=("saturated", "saturated_error", "c_max", "copy_r", "near_r"),
        )


@dataclass(frozen=True)
class Problem:
    """One finding.

    `severity` is "error" (do not train on this), "warning" or "note"; `kind` a word for
    programs; `where` the files or rows; `found` what was found; `remedy` what to do.
    """

    severity: str
    kind: str
    where: str
    found: str
    remedy: str


@dataclass(frozen=True)
class CheckReport:
    """What `check_pairs` found.

    Attributes
    ----------
    name : str
    counts : dict
        Rows, fields, groups, and fields for each marker.
    table : DataFrame
        A row per image pair (phase, stain, marker) with its measurements; NaN where one could
        not be made. `_phase` and `_stain` are the full paths, for `write_corrected`.
    problems : tuple of Problem
        Errors first.
    """

    name: str
    counts: dict[str, Any]
    table: pd.DataFrame
    problems: tuple[Problem, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return not any(problem.severity == "error" for problem in self.problems)

    def verdict(self) -> str:
        """One sentence: usable or not, and why."""
        number = Counter(problem.severity for problem in self.problems)
        kinds = {
            severity: ", ".join(
                dict.fromkeys(p.kind for p in self.problems if p.severity == severity)
            )
            for severity in number
        }
        if number["error"]:
            return (
                f"Not usable as it is: {count_of(number['error'], 'error')} ({kinds['error']}). "
                "Mend them, then check again."
            )
        if number["warning"]:
            return f"Usable, with {count_of(number['warning'], 'warning')} ({kinds['warning']})."
        return "Usable: nothing is wrong that this check can see."

    def to_json(self) -> str:
        """All of it; numbers that are not known are null."""
        rows = [
            {str(key): value for key, value in row.items() if str(key)[0] != "_"}
            for row in self.table.to_dict("records")
        ]
        found = {
            "name": self.name,
            "usable": self.ok,
            "verdict": self.verdict(),
            "counts": self.counts,
            "problems": [asdict(problem) for problem in self.problems],
            "pairs": rows,
        }
        return json_text(found, indent=2)
