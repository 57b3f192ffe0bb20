"""Each arm of a benchmark in a process of its own: the allocator is tuned once per process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil


def run_arm(script: str, arm: dict[str, Any], *, timeout_s: float = 7200) -> dict[str, Any]:
    """Run ``script --arm JSON`` and return the JSON of its last line, with the arm's settings."""
    environment = dict(os.environ)
    environment["UNSTAINED_ALLOCATOR"] = "tuned" if arm.get("tuned", True) else "system"
    done = subprocess.run(
        [sys.executable, script, "--arm", json.dumps(arm)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {arm}: {last}", file=sys.stderr)
        return {**arm, "error": last}
    result: dict[str, Any] = {**arm, **json.loads(done.stdout.strip().splitlines()[-1])}
    print("  " + ", ".join(f"{k} {v}" for k, v in result.items()), file=sys.stderr)
    return result


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "system": platform.platform(terse=True),
        "processor": capabilities.get("cpu_name", platform.processor()),
        "cores": psutil.cpu_count(logical=False),
        "avx2": capabilities.get("avx2"),
        "avx512_bf16": capabilities.get("avx512_bf16"),
        "vnni": capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": [round(load, 1) for load in psutil.getloadavg()],
    }


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    """A Markdown table of some keys, under their headings."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(key)) for key in columns) + " |" for row in rows]
    return "\n".join(lines)


def write(out: Path, name: str, sections: dict[str, str], results: dict[str, Any]) -> None:
    """Write ``NAME.md`` and ``NAME.json`` and print the former."""
    out.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    command = " ".join([Path(sys.executable).name, *sys.argv])
    about = "\n".join(f"- {key}: {value}" for key, value in results["machine"].items())
    text = f"# {name.capitalize()}\n\n`{command}`\n\n{about}\n\n{text}\n"
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(text)
