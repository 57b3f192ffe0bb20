import ast
import inspect
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import unstained

PACKAGES = [m.name for m in pkgutil.iter_modules(unstained.__path__) if m.ispkg]
PUBLIC = [
    *(f"unstained.{name}" for name in sorted(set(PACKAGES) - {"cli", "learning"})),
    "unstained.staining.studies",
]
"""Packages whose public names are theirs; those of `learning` are its modules'."""


def test_every_subpackage_but_the_commands_comes_with_the_package() -> None:
    assert set(PACKAGES) - {"cli"} | {"cell_table"} <= set(unstained.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    package = import_module(name)
    assert package.__all__
    for public in package.__all__:
        assert getattr(package, public) is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_name_hides_a_module_of_the_package(name: str) -> None:
    package = import_module(name)
    assert not set(package.__all__) & {m.name for m in pkgutil.iter_modules(package.__path__)}


def test_every_public_name_has_a_docstring_without_which_its_page_leaves_it_out() -> None:
    griffe = pytest.importorskip("griffe")  # what the site reads docstrings with
    package = griffe.load("unstained", search_paths=[str(Path(unstained.__path__[0]).parent)])
    bare = [
        f"{module.path}.{name}"
        for module in package.modules.values()
        for name in map(str, module.exports or ())
        if name in module.members and not module[name].docstring
    ]
    assert bare == []


def test_importing_all_packages_loads_none_of_the_heavy_ones() -> None:
    heavy = {"torch", "pandas", "zarr", "scipy", "sklearn", "numba", "cv2", "matplotlib"}
    code = f"import sys, {', '.join(PUBLIC)}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _public_in(modules: list[str]) -> list[Any]:
    return [
        getattr(module, name)
        for module in map(import_module, modules)
        for name in getattr(module, "__all__", ())
    ]


def _names_of(module: ModuleType) -> dict[str, Any]:
    """What the annotations of a module may name: also what it imports for type checkers alone."""
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            code = compile(ast.Module(node.body, []), str(module.__file__), "exec")
            exec(code, names)
    return names


def _hints_of(each: Any) -> list[Any]:
    """Annotations of a function, or of a class's constructor."""
    function = each
    if inspect.isclass(each):
        function = each.__new__ if hasattr(each, "_fields") else each.__init__
    return list(typing.get_type_hints(function, _names_of(sys.modules[each.__module__])).values())


def _classes_in(hint: Any) -> Iterator[type]:
    """Classes of this package in an annotation."""
    if isinstance(hint, type) and hint.__module__.startswith("unstained."):
        yield hint
    for inner in hint if isinstance(hint, list) else typing.get_args(hint):
        yield from _classes_in(inner)


def test_every_class_in_a_public_signature_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    subscripted = classmethod(lambda cls, item: cls)  # only in its stubs can pandas' be
    monkeypatch.setattr(pd.Series, "__class_getitem__", subscripted, raising=False)
    learning = import_module("unstained.learning")
    modules = [f"unstained.learning.{m.name}" for m in pkgutil.iter_modules(learning.__path__)]
    given = _public_in(PUBLIC)
    public = [*given, *_public_in([*modules, "unstained.cell_table"])]
    lacking = {
        f"{found.__module__}.{found.__name__}, in {each.__name__}"
        for each in given
        if inspect.isfunction(each) or inspect.isclass(each)
        for hint in _hints_of(each)
        for found in _classes_in(hint)
        if found not in public
    }
    assert not lacking
