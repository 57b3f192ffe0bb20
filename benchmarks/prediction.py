"""How fast and how large prediction is; writes prediction.md and prediction.json.

    python benchmarks/prediction.py                     # all arms, an hour on two cores
    python benchmarks/prediction.py --size 512 --quick  # the main ones
    python benchmarks/prediction.py --model MODEL       # a trained panel: how far engines agree

Networks have random weights unless --model is given: their time does not depend on them. The
plain loop is what a script would do: a U-Net of width 32 and depth 4, torch float32,
contiguous, the whole image at once, the allocator as it comes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from arms import machine, peak_bytes, run_arm, table, write

ENGINES = ("torch", "onnxruntime", "openvino", "openvino-int8")


def panel(network: str, markers: int, kind: str, size: tuple[int, int]) -> Any:
    """A panel with random weights; `size` is (width, depth)."""
    import torch

    from unstained.learning.networks import NetworkSpec, build_network
    from unstained.staining.normalize import MarkerSpec
    from unstained.staining.panel import Member, Panel

    torch.manual_seed(0)
    names = [f"M{k}" for k in range(markers)]
    groups = [tuple(names)] if kind == "shared" else [(name,) for name in names]
    members = tuple(
        Member(build_network(NetworkSpec(network, 1, len(group), *size)).eval(), group)
        for group in groups
    )
    return Panel(tuple(MarkerSpec(name, 0.0, 1.0, "FFFFFF") for name in names), members)


def picture(side: int) -> np.ndarray:
    """A (1, Y, X) uint16 image with structure at many scales."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    smooth = sum(gaussian_filter(noise, s) * s for s in (1, 3, 9))
    return (2000 + 400 * np.asarray(smooth))[None].clip(0, 65535).astype(np.uint16)


def plain_loop(arm: dict[str, Any]) -> dict[str, Any]:
    """One image after the other through the plain U-Net."""
    import torch

    from unstained.learning.memory import tune_allocator

    tune_allocator()  # forbidden by the environment where the arm is not tuned
    model = panel("unet", arm["markers"], "separate", (32, 4))
    image = torch.from_numpy(picture(arm["size"]).astype(np.float32))[None] / 1000
    with torch.inference_mode():
        return timed(lambda: [member.network(image) for member in model.members], arm)


def ours(arm: dict[str, Any]) -> dict[str, Any]:
    """The same image through `Predictor`, file access apart."""
    from unstained.learning.networks import operations_per_pixel
    from unstained.staining.panel import Panel
    from unstained.staining.prediction import PredictOptions, Predictor

    if arm.get("model"):
        model = Panel.load(arm["model"])
    else:
        model = panel(arm["network"], arm["markers"], arm["panel"], tuple(arm["spec"]))
    image = np.repeat(picture(arm["size"]), model.planes, axis=0)
    options = PredictOptions(
        device="cpu",
        engine=arm["engine"],
        precision=arm.get("precision", "auto"),
        pixel_size_um=model.pixel_size_um,
    )
    start = time.perf_counter()
    predictor = Predictor(model, options)
    first = predictor(image)
    result = {
        "first_s": round(time.perf_counter() - start, 2),
        "gflop_per_mpx": round(
            sum(operations_per_pixel(m.network) for m in model.members) / 1e3, 1
        ),
        **timed(lambda: predictor(image), arm),
    }
    if arm["engine"] != "torch":
        options = PredictOptions(
            device="cpu",
            engine="torch",
            precision="float32",
            pixel_size_um=model.pixel_size_um,
        )
        expected = np.asarray(Predictor(model, options)(image).data)[0, :, 0]
        got = np.asarray(first.data)[0, :, 0]
        result["difference"] = float(np.abs(got - expected).max() / np.ptp(expected))
        pairs = zip(got, expected, strict=True)
        result["r"] = float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))
    return result


def memory(arm: dict[str, Any]) -> dict[str, Any]:
    """Peak memory of an image that is made as it is read, predicted into an OME-Zarr."""
    from unstained.images.image import Channel, Image
    from unstained.images.ome_zarr_writer import create_ome_zarr
    from unstained.staining.prediction import PredictOptions, Predictor

    class Endless:
        shape = (1, 1, 1, arm["size"], arm["size"])
        dtype = np.dtype(np.uint16)

        def __getitem__(self, index: Any) -> np.ndarray:
            y, x = (np.array(range(self.shape[3])[s]) for s in index[-2:])
            return ((y[:, None] * 7919 + x * 104729) % 4093).astype(np.uint16)[None, None]

    model = panel(arm["network"], 1, "shared", tuple(arm["spec"]))
    predictor = Predictor(model, PredictOptions(device="cpu", engine="torch", tile=arm["tile"]))
    image = Image(Endless(), (Channel("phase"),))
    before = peak_bytes()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=arm["folder"]) as folder:
        shape = predictor.shape_of(image)
        target = Path(folder) / "x.ome.zarr"
        with create_ome_zarr(target, shape, np.float32, predictor.channels, None) as sink:
            expected = predictor.run(image, sink, align=512)
    return {
        "peak_gb": round(peak_bytes() / 1e9, 3),
        "before_gb": round(before / 1e9, 3),
        "told_gb": round(expected.memory_bytes / 1e9, 3),
        "seconds": round(time.perf_counter() - start, 1),
    }


def timed(work: Any, arm: dict[str, Any]) -> dict[str, Any]:
    """Megapixels per second: best of some runs after a first one; beside it processor time."""
    work()
    walls, processors = [], []
    for _ in range(arm.get("repeats", 3)):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    mpx = arm["size"] ** 2 / 1e6
    return {
        "mpx_per_s": round(mpx / min(walls), 4),
        "cpu_s_per_mpx": round(min(processors) / mpx, 3),
        "peak_gb": round(peak_bytes() / 1e9, 2),
    }


def help_seconds(runs: int = 5) -> float:
    """Wall time of ``unstained --help``, the fastest of some runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "unstained", "--help"], capture_output=True, check=True
        )
        times.append(time.perf_counter() - start)
    return min(times)


def speed_arms(args: argparse.Namespace) -> list[dict[str, Any]]:
    base = {"size": args.size, "repeats": args.repeats}
    plain = {**base, "kind": "plain", "network": "unet", "spec": [32, 4], "engine": "plain loop"}
    arms = [{**plain, "markers": 1, "panel": "separate", "tuned": tuned} for tuned in (False, True)]
    if args.model:
        model = {**base, "kind": "ours", "model": args.model, "network": "model", "tuned": True}
        return arms + [{**model, "engine": engine} for engine in args.engines]
    compact = {**base, "kind": "ours", "network": "compact", "spec": args.spec}
    unet = {**base, "kind": "ours", "network": "unet", "spec": [32, 4]}
    one = {"markers": 1, "panel": "shared", "tuned": True}
    arms += [{**unet, **one, "engine": engine} for engine in args.engines]
    arms += [{**compact, **one, "engine": engine} for engine in args.engines]
    arms += [{**compact, **one, "engine": "torch", "tuned": False}]
    arms += [{**compact, **one, "engine": "torch", "precision": "bf16"}]
    for markers in (4,) * (not args.quick) + (8,):
        for kind in ("shared", "separate"):
            more = {"markers": markers, "panel": kind, "tuned": True}
            engines = ("torch",) if args.quick else args.engines
            arms += [{**compact, **more, "engine": engine} for engine in engines]
    return arms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=1024, help="side of the image, pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--spec", nargs=2, type=int, default=[32, 4], metavar=("WIDTH", "DEPTH"))
    parser.add_argument("--model", help="a trained model folder")
    parser.add_argument("--memory", nargs="*", type=int, default=[1024, 8192, 32768])
    parser.add_argument("--memory-spec", nargs=2, type=int, default=[4, 2])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    if args.arm:
        arm = json.loads(args.arm)
        print(json.dumps({"plain": plain_loop, "ours": ours, "memory": memory}[arm["kind"]](arm)))
        return
    speeds = [run_arm(__file__, arm) for arm in speed_arms(args)]
    untuned, tuned = (row.get("mpx_per_s") for row in speeds[:2])
    for row in speeds:
        speed = row.get("mpx_per_s")
        if speed and untuned and tuned:
            row["times_plain"], row["times_tuned"] = speed / untuned, speed / tuned
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = [
        run_arm(
            __file__,
            {
                "kind": "memory",
                "size": side,
                "network": "compact",
                "spec": args.memory_spec,
                "tile": 512,
                "folder": str(args.out),
            },
            timeout_s=20000,
        )
        for side in args.memory
    ]
    seconds = help_seconds()
    speed_columns = {
        "network": "network",
        "gflop_per_mpx": "GFLOP/Mpx",
        "markers": "markers",
        "panel": "panel",
        "engine": "engine",
        "precision": "precision",
        "tuned": "allocator tuned",
        "mpx_per_s": "Mpx/s",
        "times_plain": "x plain loop",
        "times_tuned": "x tuned loop",
        "cpu_s_per_mpx": "CPU s/Mpx",
        "first_s": "first image s",
        "peak_gb": "peak GB",
        "difference": "largest difference / range",
        "r": "r with torch float32",
    }
    memory_columns = {
        "size": "side px",
        "peak_gb": "peak GB",
        "before_gb": "before GB",
        "told_gb": "told beforehand GB",
        "seconds": "s",
    }
    width, depth = args.memory_spec
    sections = {
        "Speed": table(speeds, speed_columns),
        "Memory": f"Network compact, width {width}, depth {depth} (small, so that 32k px end; a "
        f"larger one adds a constant), tiles of 512 px.\n\n{table(sizes, memory_columns)}",
        "Command line": f"`unstained --help`: {seconds:.2f} s",
    }
    results = {"machine": machine(), "speed": speeds, "memory": sizes, "help_s": seconds}
    write(args.out, "prediction", sections, results)


if __name__ == "__main__":
    main()
