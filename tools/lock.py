"""Write ``requirements.lock`` anew: ``make lock``, with `uv <https://docs.astral.sh/uv>`_ on PATH.

Versions that are locked stay where they still fit; delete the file to take the newest of all.
torch and what comes with its CUDA build are left out: torch is installed first, and which build
is the user's choice.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

LOCK = Path("requirements.lock")
HEADER = """\
# Extras formats, fast, docs, dev; hashes. Python 3.11.2-3.13; Linux, macOS, Windows. `make lock`
# torch (2.13.0) is installed before; see Makefile.
"""
NOT_OURS = re.compile(r"(torch|triton|cuda-|nvidia-)")
TORCH = "torch==2.13.0"
# all but `zoo` (timm needs a torchvision that fits the torch of the user's choice) and the
# segmenters of others, which bring gigabytes
EXTRAS = ("formats", "fast", "docs", "dev")


def main() -> int:
    kept = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    new, constraints = Path("requirements.lock.new"), Path("requirements.constraints")
    pins = re.findall(r"^(\S+)(==\S+)", kept, flags=re.M)
    count = Counter(name for name, _ in pins)
    once = [name + pin for name, pin in pins if count[name] == 1]  # else: differs by platform
    constraints.write_text("\n".join([TORCH, *once]) + "\n", encoding="utf-8")
    try:
        done = subprocess.run(
            [
                *("uv", "pip", "compile", "pyproject.toml", "--universal"),
                *(f"--extra={name}" for name in EXTRAS),
                *("--python-version", "3.11.2", "--generate-hashes", "--no-header"),
                *("--no-annotate", "--quiet", "-c", str(constraints), "-o", str(new)),
            ],
            check=False,
        )
        if done.returncode == 0:
            blocks = re.split(r"\n(?=\S)", new.read_text(encoding="utf-8").strip())
            ours = [block for block in blocks if not NOT_OURS.match(block)]
            new.write_text(HEADER + "\n".join(ours) + "\n", encoding="utf-8")
            new.replace(LOCK)
        return done.returncode
    finally:
        constraints.unlink()
        new.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
