"""What the source of a policy says of itself, read and never run: which policies it defines, and what it reaches for.

A policy that sees the layers to come is a bound. Reading the source finds those that say so or take the known ways
there; a replay by the built-in code (`eebench.submission.verification`) is what proves the rest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from eebench.policy import Kind, kebab_case

OF_EEBENCH = ("eebench.policy", "eebench.errors", "eebench.statistics")
"""The modules of EEBench that a policy may import."""

FORBIDDEN = ("builtins", "ctypes", "gc", "importlib", "inspect", "marshal", "pickle", "subprocess", "sys")
"""Modules by which code reaches what it was not given."""

CALLS = ("__import__", "compile", "eval", "exec", "globals", "locals", "vars")


@dataclass(frozen=True)
class Defined:
    """A class of policies in a source."""

    class_name: str
    name: str
    kind: Kind


def policies_defined(source: bytes) -> dict[str, Defined]:
    """The policies that a source defines, by name; empty where it is not Python."""
    classes = {node.name: node for node in _tree(source).body if isinstance(node, ast.ClassDef)}
    found = [Defined(name, _policy_name(node), _kind(node, classes)) for name, node in classes.items()]
    return {policy.name: policy for policy in found}


def reaches_beyond(source: bytes) -> Iterator[str]:
    """What in a source could show a policy more than the layers it has reached, as ends of a sentence."""
    tree = _tree(source)
    if not tree.body:
        yield "its source is not Python"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_wrong_module(alias.name) for alias in node.names if _wrong_module(alias.name))
        elif isinstance(node, ast.ImportFrom):
            yield from _wrong_import(node)
        elif isinstance(node, ast.Attribute) and _is_hidden(node):
            yield f"its source uses .{node.attr}, which is not its own"
        elif isinstance(node, ast.Name) and node.id in CALLS:
            yield f"its source uses {node.id}"
        elif isinstance(node, (ast.Name, ast.Attribute)) and _last_name(node) in ("Bound", "could_stop"):
            yield f"its source uses {_last_name(node)}, which sees the layers to come"


def _tree(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _wrong_import(node: ast.ImportFrom) -> Iterator[str]:
    module = node.module or ""
    if node.level or _wrong_module(module):
        yield _wrong_module(module) or "its source imports a module that lies beside it, and a policy is one file"
    yield from (
        f"its source imports {alias.name}, which sees the layers to come"
        for alias in node.names
        if alias.name == "Bound"
    )


def _wrong_module(module: str) -> str:
    top = module.partition(".")[0]
    if top in FORBIDDEN or (top == "eebench" and module not in OF_EEBENCH):
        return f"its source imports {module}, and a policy has its view and nothing else"
    return ""


def _is_hidden(node: ast.Attribute) -> bool:
    """A private attribute of anything but the policy itself."""
    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    return node.attr.startswith("_") and not own


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


# --- classes -----------------------------------------------------------------------------------------------------


def _policy_name(node: ast.ClassDef) -> str:
    """As `eebench.policy.ExitPolicy` names it: what the class says, else its own name in kebab-case."""
    return _said(node, "name") or kebab_case(node.name)


def _kind(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Kind:
    """What the class or one that it builds on says; a class that builds on itself says nothing."""
    seen: list[str] = []
    waiting = [node.name]
    while waiting:
        name = waiting.pop()
        if name == "Bound":
            return "bound"
        if name in seen or name not in classes:
            continue
        seen.append(name)
        said = _said(classes[name], "kind")
        if said in ("policy", "control", "bound"):
            return said  # type: ignore[return-value]  # one of the three
        waiting += [_last_name(base) for base in classes[name].bases]
    return "policy"


def _said(node: ast.ClassDef, attribute: str) -> str:
    """The text that a class sets an attribute to, if it does."""
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        value = getattr(line, "value", None)
        if any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
    return ""
