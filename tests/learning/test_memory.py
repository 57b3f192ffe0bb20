"""The allocator is tuned where it can be, and only there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unstained.learning import memory

# a block of 64 MB is allocated and freed 20 times; each page is touched
FAULTS = """
import resource, numpy as np
from unstained.learning.memory import tune_allocator
tune_allocator()
def work():
    for _ in range(20):
        np.ones(8_000_000)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(monkeypatch: pytest.MonkeyPatch, setting: str) -> int:
    monkeypatch.setenv("UNSTAINED_ALLOCATOR", setting)
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(not memory._is_glibc(), reason="only glibc has mallopt")
def test_freed_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # NumPy asks for huge pages: 20 x 64 MB / 2 MB = 640 faults at least, when given back
    given_back = faults(monkeypatch, "system")
    assert given_back >= 600
    assert faults(monkeypatch, "tuned") < given_back / 10


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.tune_allocator.cache_clear()
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.tune_allocator() is False
    memory.tune_allocator.cache_clear()
