"""Holds VGG19 and HRNet-W18 against timm: equal numbers of weights, equal maps with its weights.

Run by hand where timm imports (extra ``zoo``): ``python benchmarks/encoders.py``. Weights go
over by order; both sides then see the same images. ``--time`` adds milliseconds of a training
step of every network of ours; it needs no timm.

A torchvision built for another torch (that of PyPI beside the CPU build) fails when it registers
its operators, which no encoder here uses; ``--no-operators`` goes without.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unstained.learning.devices import autocast
from unstained.learning.encoders import VGG19, EncoderSpec, SmallEncoder, build_classifier
from unstained.learning.encoders_hrnet import HRNet
from unstained.learning.memory import tune_allocator

TOLERANCE = 1e-5  # share of the largest value


def copy_by_order(source: Iterable[Tensor], target: nn.Module) -> None:
    """Put the tensors into the module's state, one after the other; shapes must agree."""
    state = target.state_dict()
    tensors = dict(zip(state, source, strict=True))
    target.load_state_dict(tensors)


def scramble(module: nn.Module) -> None:
    """Norms that do something: random scales, offsets and running statistics."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.normal_(0, 0.2, generator=generator)


def states(*modules: nn.Module) -> list[Tensor]:
    return [tensor for module in modules for tensor in module.state_dict().values()]


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def report(name: str, ours: list[Tensor], theirs: list[Tensor], counts: tuple[int, int]) -> bool:
    worst = max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)
    )
    same = counts[0] == counts[1] and worst <= TOLERANCE
    print(
        f"{name}: {counts[0]:,} weights, timm {counts[1]:,}; "
        f"largest difference {worst:.1e} of the largest value: {'equal' if same else 'DIFFERENT'}"
    )
    return same


@torch.inference_mode()
def check_vgg(images: Tensor) -> bool:
    import timm

    theirs = timm.create_model("vgg19_bn").features.eval()
    ours = VGG19(planes=3).eval()
    scramble(theirs)
    copy_by_order(states(theirs), ours)
    counts = (count(ours), count(theirs))
    return report("vgg19_bn, convolutions", [ours.layers(images)], [theirs(images)], counts)


@torch.inference_mode()
def check_hrnet(images: Tensor) -> bool:
    import timm

    theirs = timm.create_model("hrnet_w18").eval()
    ours = HRNet(planes=3).eval()
    scramble(theirs)
    body = ("conv1", "bn1", "conv2", "bn2", "layer1", "transition1", "stage2")
    body += ("transition2", "stage3", "transition3", "stage4")
    trunk = [getattr(theirs, name) for name in body]
    head = [theirs.incre_modules, theirs.downsamp_modules, theirs.final_layer]
    for part, source in ((ours.stem, trunk[:4]), (ours.stage1, trunk[4:5])):
        copy_by_order(states(*source), part)
    copy_by_order(states(*trunk[5:]), ours.stages)
    copy_by_order(states(*head), ours.head)
    their_maps = theirs.stages(theirs.act2(theirs.bn2(theirs.conv2(stem_start(theirs, images)))))
    counts = (count(ours.stem, ours.stage1, ours.stages), count(*trunk))
    equal = report("hrnet_w18, trunk", ours.trunk(images), their_maps, counts)
    their_end = theirs.forward_features(images)
    our_end = ours.head(ours.trunk(images))
    counts = (count(ours.head), count(*head))
    return report("hrnet_w18, head to 2048", [our_end], [their_end], counts) and equal


def stem_start(theirs: nn.Module, images: Tensor) -> Tensor:
    return theirs.act1(theirs.bn1(theirs.conv1(images)))


def step_ms(spec: EncoderSpec, batch: int, side: int, precision: str) -> tuple[float, float]:
    """Shortest of many training steps (cross-entropy, SGD), by the clock and by the processor.

    Milliseconds. On a shared machine the processor's time of one thread is the steadier.
    """
    device = torch.device("cpu")
    network = build_classifier(spec, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, spec.planes, side, side).to(memory_format=torch.channels_last)
    classes = torch.arange(batch) % spec.classes
    walls, processors = [], []
    for _ in range(30 if side < 100 else 10):
        wall, processor = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        with autocast(precision, device):
            logits = network(images)
        nn.functional.cross_entropy(logits.float(), classes).backward()
        optimizer.step()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return 1e3 * min(walls), 1e3 * min(processors)


def time_all() -> None:
    tune_allocator()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, ms a training step")
    for batch, side in ((32, 40), (64, 40), (32, 128), (64, 128)):
        for precision in ("float32", "bf16"):
            wall, processor = step_ms(EncoderSpec("small", 1, 3), batch, side, precision)
            print(
                f"small, {batch} of {side} px, {precision}: {wall:.0f}, processor {processor:.0f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true", help="time the small network instead")
    parser.add_argument("--no-operators", action="store_true")
    arguments = parser.parse_args()
    for name, stream in (("small", SmallEncoder), ("vgg19", VGG19), ("hrnet", HRNet)):
        print(f"{name}: {count(stream(1)):,} weights with one plane, {count(stream(3)):,} with 3")
    if arguments.time:
        time_all()
        return 0
    if arguments.no_operators:
        operators = "torchvision._meta_registrations"
        sys.modules[operators] = types.ModuleType(operators)
    torch.manual_seed(0)
    images = torch.randn(2, 3, 96, 96)
    return 0 if check_vgg(images) & check_hrnet(images) else 1


if __name__ == "__main__":
    raise SystemExit(main())
