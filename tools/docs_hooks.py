"""Puts real phase contrast above the simulated on the page `simulation.md`, as the site is built.

The real images are those of `usiigaci`, which this repository does not hold. Where the data set
is at hand, its bundle in the folder that ``UNSTAINED_DATA`` names or all its files in the cache,
the picture is drawn into the site; elsewhere the page keeps the line that says how to get it.
Nothing is downloaded. MkDocs calls these functions: `hooks` in mkdocs.yml.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import tifffile
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from PIL import Image

from unstained import datasets

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the grey scale is that of the simulated images

from phase_pictures import SHOWN, shown  # noqa: E402

PAGE = "simulation.md"
PICTURE = "images/real-and-simulated.png"
BEGIN, END = "<!-- without usiigaci -->", "<!-- end -->"
FIGURE = f"""\
![Three real images of phase contrast above three simulated ones]({PICTURE})

*Above real phase contrast: training sets 3 and 13 and frame 9 of the movie of `usiigaci` (T98G
and NIH/3T3 cells; Tsai et al., SoftwareX 9, 2019; MIT licence). Below simulated. Each part is 400
pixels wide; grey values over the image's median, from 0.5 (black) to 1.7 (white).*
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the picture to the site's files, where the real images are at hand."""
    folder = real_folder()
    if folder is not None:
        files.append(File.generated(config, PICTURE, content=picture(folder)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the picture in the place of the line that says how to get it."""
    if page.file.src_uri != PAGE or files.get_file_from_path(PICTURE) is None:
        return markdown
    before, rest = markdown.split(BEGIN)
    return before + FIGURE + rest.split(END)[1]


def real_folder() -> Path | None:
    """Folder of `usiigaci`, unpacked from its bundle where there is one; None if not at hand."""
    given = os.environ.get("UNSTAINED_DATA")
    if given and (Path(given).expanduser() / "usiigaci.zip").is_file():
        return datasets.fetch("usiigaci")
    return datasets.cache_dir() / "usiigaci" if datasets.is_cached("usiigaci") else None


def picture(folder: Path) -> bytes:
    """Real images above the simulated ones of ``docs/images/simulated.png``, as PNG."""
    upper = np.hstack([shown(tifffile.imread(folder / path)) for path in SHOWN])
    lower = np.asarray(Image.open(ROOT / "docs" / "images" / "simulated.png"))
    line = np.full((4, lower.shape[1]), 255, np.uint8)
    png = io.BytesIO()
    Image.fromarray(np.vstack([upper, line, lower])).save(png, "PNG")
    return png.getvalue()
