"""Where to compute, with which precision, and on how many processors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import ProcessRaisedException, spawn

from .. import errors
from ..errors import InputError, UnstainedError

__all__ = [
    "autocast",
    "average_gradients",
    "bf16_gains",
    "choose_device",
    "launch",
    "rank",
    "resolve_precision",
    "wait_for_all",
    "world_size",
]


def choose_device(name: str) -> torch.device:
    """The device called `name`: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto``.

    Raises
    ------
    InputError
        It is asked for by name and is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (colon and not number.isdecimal()):
        raise InputError(f"device {name!r} is not known", "choose auto, cpu, cuda or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {name!r} was asked for, but this PyTorch sees no GPU",
            "choose cpu, or install the CUDA build of PyTorch (see README)",
        )
    if kind == "cuda" and colon and int(number) >= torch.cuda.device_count():
        raise InputError(
            f"device {name!r} was asked for, but there are {torch.cuda.device_count()} GPUs",
            "they are counted from cuda:0",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {name!r} is not available here", "choose cpu")
    return torch.device(name)


def bf16_gains(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: where the processor has instructions for it.

    Processors without such instructions emulate it, several times slower than float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("bf16"))
    return False


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` to ``bf16`` where it gains, else ``float32``.

    Raises
    ------
    InputError
        The precision is not known.
    """
    if precision == "auto":
        return "bf16" if bf16_gains(device) else "float32"
    if precision not in {"float32", "bf16"}:
        raise InputError(f"precision {precision!r} is not known", "choose auto, float32 or bf16")
    return precision


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Context in which convolutions run in bfloat16, or in float32 as they are."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def rank() -> int:
    """This process's number among those that train together; 0 when alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def average_gradients(module: nn.Module) -> None:
    """Replace every gradient by its mean over the processes that train together."""
    if world_size() == 1:
        return
    gradients: list[Tensor] = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])  # one message for all
    distributed.all_reduce(flat)
    flat /= world_size()
    means = torch.split(flat, [g.numel() for g in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def wait_for_all() -> None:
    """Wait until every process that trains together has come here."""
    if world_size() > 1:
        distributed.all_reduce(torch.zeros(1))  # on the processor, which all have


def launch(run: Callable[..., None], processes: int, *args: Any) -> None:
    """Call `run(*args)` in `processes` processes that train together, and wait for them.

    `run` must be importable and its arguments picklable by the standard library's spawn; with
    one process it is called right here. Devices are told apart by `rank()`. An error that the
    user can mend is raised here as it was there.
    """
    if processes == 1:
        run(*args)
        return
    # one of the processes that was ended may still hold a file, on Windows
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            spawn(_worker, (run, processes, folder, args), nprocs=processes)  # type: ignore[no-untyped-call]
        except ProcessRaisedException:
            for path in sorted(Path(folder).glob("error_*")):
                kind, reason, remedy, file = json.loads(path.read_text(encoding="utf-8"))
                raise getattr(errors, kind)(reason, remedy, file=file) from None
            raise


def _worker(number: int, run: Callable[..., None], n: int, folder: str, args: Any) -> None:
    with _group(number, n, str(Path(folder) / "store")):
        try:
            run(*args)
        except UnstainedError as error:
            said = json.dumps([type(error).__name__, error.reason, error.remedy, error.file])
            (Path(folder) / f"error_{number}").write_text(said, encoding="utf-8")
            raise


@contextmanager
def _group(number: int, n: int, store: str) -> Iterator[None]:
    backend = "gloo"
    if torch.cuda.device_count() >= n:
        torch.cuda.set_device(number)
        if distributed.is_nccl_available():  # not on Windows
            backend = "cpu:gloo,cuda:nccl"  # the tensors' device decides
    torch.set_num_threads(max(1, torch.get_num_threads() // n))
    shared = distributed.FileStore(store, n)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=shared, rank=number, world_size=n)
    try:
        yield
    finally:
        distributed.destroy_process_group()
