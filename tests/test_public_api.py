"""What is public: every module says so, and nothing it says is missing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import async_export

MODULES = [
    async_export.__name__,
    *(
        module.name
        for module in pkgutil.walk_packages(async_export.__path__, "async_export.")
        if not module.name.endswith("__main__")
    ),
]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Each module of the package."""
    return importlib.import_module(request.param)


def in_order(name: str) -> tuple[int, str]:
    """Sort as ruff does: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_every_module_says_what_is_public(module: ModuleType) -> None:
    """``__all__`` is a sorted tuple without doubles; only a folder's own module may lack it."""
    names = getattr(module, "__all__", None)
    if names is None:
        assert all(name.startswith("_") for name in vars(module) if name not in own_modules(module))
        return
    assert isinstance(names, tuple)
    assert list(names) == sorted(set(names), key=in_order)


def own_modules(module: ModuleType) -> set[str]:
    """Give what a module has because of modules below it, or of its ``import`` of the future."""
    return {"annotations", *(n for n, v in vars(module).items() if isinstance(v, ModuleType))}


def test_every_public_name_exists(module: ModuleType) -> None:
    """What ``__all__`` names is there, and not private."""
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)
        assert not name.startswith("_")


def test_what_is_defined_is_public_or_underscored(module: ModuleType) -> None:
    """A function or class of the core without underscore is in its module's ``__all__``."""
    if module.__name__.startswith(APPLICATIONS) or "._" in module.__name__:
        pytest.skip("no public module of the core")
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert defined <= set(getattr(module, "__all__", ()))


APPLICATIONS = ("async_export.cli", "async_export.demo", "async_export.web")


def test_every_public_thing_has_a_docstring(module: ModuleType) -> None:
    """Modules, and the functions and classes that public ones offer, are documented."""
    assert module.__doc__
    if "._" in module.__name__:
        return
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


def test_the_package_offers_what_users_need() -> None:
    """The names of the README come from the package itself."""
    for name in ("Field", "ModelResource", "Resource", "depends", "maybe_await", "RowError"):
        assert name in async_export.__all__


def test_the_package_offers_every_error() -> None:
    """All errors can be caught without knowing where they are defined."""
    errors = importlib.import_module("async_export.errors")
    assert set(errors.__all__) <= set(async_export.__all__)


def test_the_version_is_the_distribution_s() -> None:
    """``__version__`` is what pyproject.toml says."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert f'version = "{async_export.__version__}"' in project.read_text()
