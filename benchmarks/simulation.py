"""Seconds to simulate a field with eight markers, and a frame of a well.

python benchmarks/simulation.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

from unstained.simulate import MARKERS, simulate_field
from unstained.simulate.colony_wells import ColonySettings, plan_well, render_frame

REPEATS = 3


def best(work: Callable[[int], object]) -> str:
    """Wall and processor time of the fastest of some calls, each with a seed of its own."""
    times = []
    for seed in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work(seed)
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = min(times)
    return f"{wall:.2f} s ({processor:.2f} s of processor time)"


def frame(seed: int) -> object:
    settings = ColonySettings(wells=1, frames=1, seed=seed)
    return render_frame(settings, plan_well(settings, 0), 0)


def main() -> None:
    markers = list(MARKERS)[:8]
    simulate_field(256, markers=markers)  # imports and plans of transforms
    for workers in (1, 2):
        taken = best(
            lambda seed, n=workers: simulate_field(1024, markers=markers, seed=seed, workers=n)
        )
        print(f"field of 1024 x 1024, {len(markers)} markers, {workers} threads: {taken}")
    print(f"frame of a well of 2908 x 2908, one thread: {best(frame)}")


if __name__ == "__main__":
    main()
