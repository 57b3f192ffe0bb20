"""The table of a model's scores, as words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..staining.score_table import ScoreTable

__all__ = ["print_scores", "print_summary"]


def print_scores(name: str, table: ScoreTable) -> None:
    """Scores of every marker, of its baselines, the verdicts and the notes."""
    from ..staining.verdict import verdicts

    print(f"\n{name}, split {table.split}")
    print_summary(table.summary())
    for marker, baselines in table.baseline_summary().items():
        shown = ", ".join(f"{b} {_text(e['r_s'])}" for b, e in baselines.items())
        print(f"without a model, r_s of {marker}: {shown}")
    for verdict in verdicts(table).values():
        print(verdict)
    for note in table.notes:
        print(f"note: {note}")


def print_summary(summary: dict[str, dict[str, Any]]) -> None:
    """A row of each marker."""
    names = ["r_s", "r_lap", "mae", "ssim", "c_max"]
    names += [n for n in ("pixel_r", "cell_r") if any(n in e for e in summary.values())]
    rows = [["marker", *names, "pairs"]]
    for marker, entry in summary.items():
        shown = [_text(entry[n]) if n in entry else "" for n in names]
        rows.append([marker, *shown, str(entry["r_s"]["n"])])
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    for row in rows:
        print("".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    for marker, entry in summary.items():
        for name, within in entry.get("cell_r_within", {}).items():
            print(f"{marker}, cell_r within {name}: {_text(within)} (n {within['n']})")


def _text(entry: dict[str, Any]) -> str:
    if entry["mean"] is None:
        return "-"
    if entry["low"] is None:
        return f"{entry['mean']:.3g}"
    return f"{entry['mean']:.3g} [{entry['low']:.3g}, {entry['high']:.3g}]"
