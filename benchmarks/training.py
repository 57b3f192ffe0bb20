"""Training steps per second beside a plain float32 loop; writes training.md and training.json.

A step: 16 patches of 128 x 128, mean squared error, AdamW. Plain: a U-Net of width 32 and depth
4, float32, contiguous, the allocator as it comes. The other arms change one thing after the
other: allocator, memory layout, precision (where the processor gains), network.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from arms import machine, peak_bytes, run_arm, table, write


def train(arm: dict[str, Any]) -> dict[str, Any]:
    """Steps per second of one arm."""
    import torch

    from unstained.learning.devices import autocast
    from unstained.learning.memory import tune_allocator
    from unstained.learning.networks import NetworkSpec, build_network

    tune_allocator()  # forbidden by the environment where the arm is not tuned
    torch.manual_seed(0)
    layout = torch.channels_last if arm["channels_last"] else torch.contiguous_format
    spec = NetworkSpec(arm["network"], 1, 1, *arm["spec"])
    network = build_network(spec).to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    shape = (arm["batch"], 1, arm["patch"], arm["patch"])
    planes, stain = torch.randn(shape), torch.randn(shape)
    device = torch.device("cpu")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(arm["precision"], device):
            predicted = network(planes.to(memory_format=layout))
        torch.nn.functional.mse_loss(predicted.float(), stain).backward()
        optimizer.step()

    step()
    walls, processors = [], []
    for _ in range(arm["steps"]):
        wall, processor = time.perf_counter(), time.process_time()
        step()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {
        "steps_per_s": round(1 / min(walls), 3),
        "cpu_s_per_step": round(min(processors), 3),
        "peak_gb": round(peak_bytes() / 1e9, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--spec", nargs=2, type=int, default=[32, 4], metavar=("WIDTH", "DEPTH"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(train(json.loads(args.arm))))
        return
    common = {"steps": args.steps, "batch": args.batch, "patch": args.patch}
    unet = {**common, "network": "unet", "spec": [32, 4], "precision": "float32"}
    compact = {**common, "network": "compact", "spec": args.spec, "channels_last": True}
    arms: list[dict[str, Any]] = [
        {**unet, "channels_last": False, "tuned": False},
        {**unet, "channels_last": False, "tuned": True},
        {**unet, "channels_last": True, "tuned": True},
        {**compact, "precision": "float32", "tuned": False},
        {**compact, "precision": "float32", "tuned": True},
    ]
    about = machine()
    if about["avx512_bf16"]:  # emulated elsewhere, several times slower
        arms += [
            {**unet, "precision": "bf16", "channels_last": True, "tuned": True},
            {**compact, "precision": "bf16", "tuned": True},
        ]
    rows = [run_arm(__file__, arm) for arm in arms]
    for row in rows:
        if "steps_per_s" in row and "steps_per_s" in rows[0]:
            row["times_plain"] = row["steps_per_s"] / rows[0]["steps_per_s"]
    columns = {
        "network": "network",
        "spec": "width, depth",
        "precision": "precision",
        "channels_last": "channels last",
        "tuned": "allocator tuned",
        "steps_per_s": "steps/s",
        "times_plain": "x plain",
        "cpu_s_per_step": "CPU s/step",
        "peak_gb": "peak GB",
    }
    sections = {"Training": table(rows, columns)}
    write(args.out, "training", sections, {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
