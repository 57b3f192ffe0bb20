"""Pictures of simulated colonies: one of each state, and a whole well with its class mask.

python benchmarks/colony_pictures.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from unstained.simulate.colony_fates import CLASSES, STATES, Fate
from unstained.simulate.colony_textures import PIXEL_SIZE_UM
from unstained.simulate.colony_wells import ColonySettings, plan_well, render_frame

SIZE = 560
GREY = {"cmap": "gray", "vmin": 0, "vmax": 8000}  # the empty field is at 4100


def gallery(folder: Path) -> None:
    """The same outline in each state."""
    settings = ColonySettings(wells=1, frames=1, size=SIZE, colonies=1, seed=5)
    well = plan_well(settings, 0)
    outline = well.colonies[0].outline
    figure = Figure((12, 8.6), layout="constrained")
    for place, state in enumerate(STATES, start=1):
        forever = Fate(np.array([0, np.inf]), np.array([STATES.index(state)]), STATES.index(state))
        shown = well.colonies[0]._replace(
            fate=forever,
            center=(SIZE / 2, SIZE / 2),
            outline=type(outline)(
                300.0, outline.aspect, outline.angle_rad, outline.waves, outline.border_angle_rad
            ),
        )
        frame = render_frame(settings, well._replace(colonies=[shown]), 0)
        axes = figure.add_subplot(2, 3, place)
        axes.imshow(frame.image, **GREY)
        axes.plot([20, 20 + 100 / PIXEL_SIZE_UM], [SIZE - 20] * 2, color="white", linewidth=3)
        axes.set_title(state)
        axes.set_axis_off()
    figure.suptitle("Simulated colonies, phase contrast 10x; the bar is 100 µm")
    figure.savefig(folder / "colonies.png", dpi=130)


def whole_well(folder: Path) -> None:
    """A well at hour 0 and the class of each pixel."""
    settings = ColonySettings(wells=1, frames=1, seed=1)
    frame = render_frame(settings, plan_well(settings, 0), 0)
    figure = Figure((14, 7.4), layout="constrained")
    image, mask = figure.subplots(1, 2)
    image.imshow(frame.image[::2, ::2], **GREY)
    image.set_title("a well of 2908 x 2908 px")
    colors = colormaps["Dark2"](np.arange(len(CLASSES)))
    table = np.vstack([[0.1, 0.1, 0.1, 1], colors])
    mask.imshow(table[frame.classes[::2, ::2]])
    mask.set_title("class of each pixel")
    for class_, color in zip(CLASSES, colors, strict=True):
        mask.plot([], [], "s", color=color, label=class_)
    mask.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncol=len(CLASSES))
    for axes in (image, mask):
        axes.set_axis_off()
    figure.savefig(folder / "well.png", dpi=130)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    gallery(out)
    whole_well(out)
