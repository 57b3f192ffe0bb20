"""How a score grows with time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import InputError
from .style import PALETTE, house_style, new_figure

__all__ = ["learning_curve"]


def learning_curve(history: pd.DataFrame) -> Figure:
    """Draw the validation score, mean r_s, against time of training.

    Runs of one model (seeds) are thin lines, their mean a thick one over the time that all of them
    reach; a ring shows the best point of each run, whose weights are kept.

    Parameters
    ----------
    history : DataFrame
        seconds, value and, if there are several, model and seed. NaN is left out.
    """
    table = history[np.isfinite(history["value"].to_numpy(float))]
    if not len(table):
        raise InputError("no finite value to draw", "give rows of seconds, value")
    for column in ("model", "seed"):
        if column not in table:
            table = table.assign(**{column: ""})
    with house_style():
        figure = new_figure(3.5, 2.5)
        ax = figure.add_subplot()
        for j, (model, of_model) in enumerate(table.groupby("model", sort=False)):
            color = PALETTE[j % len(PALETTE)]
            runs = [
                (run["seconds"].to_numpy(float) / 60, run["value"].to_numpy(float))
                for _, run in of_model.sort_values("seconds").groupby("seed", sort=False)
            ]
            many = len(runs) > 1
            for t, value in runs:
                ax.plot(t, value, color=color, lw=0.6 if many else 1.3, alpha=0.5 if many else 1)
                best = int(np.argmax(value))
                ax.plot(t[best], value[best], "o", ms=4, mfc="white", mec=color, mew=1, zorder=3)
            if many:
                start, stop = max(t[0] for t, _ in runs), min(t[-1] for t, _ in runs)
                grid = np.linspace(start, stop, 200)
                mean = np.mean([np.interp(grid, t, value) for t, value in runs], axis=0)
                ax.plot(grid, mean, color=color, lw=1.6)
            ax.plot([], [], color=color, lw=1.6, label=str(model))
        ax.set_xlim(left=0)
        ax.set_xlabel("time of training (min)")
        ax.set_ylabel("mean r$_s$ (validation)")
        if table["model"].nunique() > 1:
            ax.legend(loc="lower right")
    return figure
