import pkgutil
import subprocess
import sys

import pytest

import unstained

PACKAGES = [m.name for m in pkgutil.iter_modules(unstained.__path__) if m.ispkg]


def test_every_subpackage_but_the_commands_comes_with_the_package() -> None:
    assert set(PACKAGES) - {"cli"} <= set(unstained.__all__)


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"cli", "learning"}))
def test_every_public_name_is_there(name: str) -> None:
    package = getattr(unstained, name)
    assert package.__all__
    for public in package.__all__:
        assert getattr(package, public) is not None


@pytest.mark.parametrize("name", ["cells", "colonies", "dynamics", "heterogeneity", "images"])
def test_no_public_name_hides_a_module_of_the_package(name: str) -> None:
    package = getattr(unstained, name)
    assert not set(package.__all__) & {m.name for m in pkgutil.iter_modules(package.__path__)}


def test_importing_a_package_loads_none_of_the_heavy_ones() -> None:
    code = (
        "import sys, unstained.cells, unstained.colonies, unstained.images, unstained.staining;"
        "print(sorted({'torch', 'pandas', 'zarr', 'sklearn', 'numba', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
