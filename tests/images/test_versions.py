"""Versions of what made a result are asked of the modules."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError

import cv2
import numpy as np
import pytest

from unstained.images.versions import versions_of


def test_a_module_says_its_version_whatever_package_it_came_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> Distribution:
        raise PackageNotFoundError(name)  # as for opencv-python-headless, with cv2 from conda

    monkeypatch.setattr(Distribution, "from_name", absent)
    assert versions_of("cv2", "numpy") == {"cv2": cv2.__version__, "numpy": np.__version__}


def test_a_module_that_is_not_there_is_left_out() -> None:
    assert versions_of("numpy", "no_such_module") == {"numpy": np.__version__}
