"""Versions of what made a result, to be written beside it."""

from __future__ import annotations

from importlib import import_module

__all__ = ["versions_of"]


def versions_of(*modules: str) -> dict[str, str]:
    """Versions of modules, by the name that they are imported under.

    Asked of the modules, not of the package manager: ``cv2`` comes as ``opencv-python``,
    ``opencv-python-headless`` or from conda, and no result may be lost for want of its number.
    One that cannot be imported had no part in the result and is left out.
    """
    found = {}
    for name in modules:
        try:
            found[name] = str(getattr(import_module(name), "__version__", "unknown"))
        except ImportError:
            continue
    return found
