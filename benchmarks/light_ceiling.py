"""Does r_s stay below c_max where noise outweighs signal, and c_max cannot be measured?

    python benchmarks/light_ceiling.py pairs/manifest.csv noise

After `unstained staining study noise pairs/manifest.csv --out noise`. The study thins
photo-electrons: given the stain N at full light, thinned stains know nothing more of the
noise-free stain, so that their correlation with it is that of N times their own with N. The
first is c_max at full light, where it is measured well; the second is counted, pixel by pixel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from unstained.images import read_image
from unstained.staining.scores import pearson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("study", type=Path)
    given = parser.parse_args()
    table = pd.read_csv(given.manifest).query("split == 'test'")
    scores = pd.read_csv(given.study / "noise.csv").query("test == 'same'")
    full = scores[scores["light"] == 1].set_index("marker")["c_max"]
    print("| marker | light | r_s | c_max, measured | c_max, counted |\n|---|---|---|---|---|")
    for folder in sorted((given.study / "data").iterdir(), key=lambda p: -_light(p)):
        # 00003_field01_nucleus.ome.tif is of field01_nucleus.tif
        of_name = {p.name.split("_", 1)[1].split(".")[0]: p for p in folder.iterdir()}
        for marker, rows in table.groupby("marker"):
            kept = [
                pearson(_pixels(given.manifest.parent / stain), _pixels(of_name[Path(stain).stem]))
                for stain in rows["stain"]
            ]
            ceiling = float(np.mean(kept)) * full[marker]
            own = scores[(scores["marker"] == marker) & np.isclose(scores["light"], _light(folder))]
            r_s, measured = own["r_s"].iloc[0], own["c_max"].iloc[0]
            line = f"{marker} | {_light(folder):.4f} | {r_s:.3f} | {measured:.3f} | {ceiling:.3f}"
            print(f"| {line} |", flush=True)


def _light(folder: Path) -> float:
    return float(folder.name.removeprefix("light-"))


def _pixels(path: Path) -> np.ndarray:
    return read_image(path).plane(0).astype(float)


if __name__ == "__main__":
    main()
