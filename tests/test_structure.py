"""How the parts of EEBench lean on each other: in one direction, so that each can be read without those above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files("eebench")))


def imports(module: Path) -> Iterator[str]:
    """The modules of EEBench that a module imports, wherever in it that is written, for its types alone as well."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def part(module: str) -> str:
    """What a module belongs to: its folder, or itself where it lies at the top."""
    return module.split(".")[1]


def parts() -> dict[str, set[str]]:
    """The parts, and for each the parts that it imports."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("eebench", *path.relative_to(PACKAGE).with_suffix("").parts))
        if name != "eebench.__init__":
            of_eebench = {part(other) for other in imports(path) if other.startswith("eebench.")}
            found.setdefault(part(name), set()).update(of_eebench - {part(name)})
    return found


def test_no_part_leans_on_one_that_leans_on_it() -> None:
    order = list(TopologicalSorter(parts()).static_order())  # a CycleError names the circle
    assert order.index("traces") < order.index("task_traces") < order.index("run") < order.index("cli")


def test_nothing_imports_the_command_line() -> None:
    assert [name for name, leans_on in parts().items() if "cli" in leans_on] == []
