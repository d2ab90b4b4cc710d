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

FORBIDDEN = (
    *(
        "atexit",
        "builtins",
        "code",
        "codeop",
        "copyreg",
        "ctypes",
        "dis",
        "gc",
        "importlib",
        "inspect",
        "io",
        "marshal",
    ),
    *("multiprocessing", "operator", "os", "pathlib", "pickle", "pkgutil", "runpy", "shelve", "shutil", "signal"),
    *("socket", "subprocess", "sys", "tempfile", "threading", "traceback", "types", "weakref"),
)
"""Modules by which code reaches what it was not given, or keeps what it has seen outside of itself."""

CALLS = (
    *("__builtins__", "__import__", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "globals", "locals"),
    *("setattr", "vars"),
)

OF_STATISTICS = ("Lens", "statistic")
"""What a policy may take from `eebench.statistics`: to register one of its own, and not to change those there are."""

OF_ITSELF = ("__class__", "__doc__", "__name__", "__qualname__", "__version__")
"""Names between two pairs of underscores that tell no more than what a thing is."""

OF_THE_VIEW = ("_going", "_keys", "_positions", "_source")
"""What `eebench.policy.LayerView` keeps to itself, and what that does: never a policy's, whatever it calls it."""

UNLOCKING = ("base", "ctypeslib", "flags", "setflags")
"""What makes an array that is shown one that can be written to."""


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


def reaches_beyond(source: bytes, bound: bool = False) -> Iterator[str]:
    """What in a source could show a policy more than the layers it has reached, as ends of a sentence.

    Args:
        bound: whether it may say that it sees the layers to come.
    """
    tree = _tree(source)
    if not tree.body:
        yield "its source is not Python"
    methods = _methods(tree)
    imported = _imported(tree)
    asks_by_name = any(isinstance(node, ast.Call) and _by_variable(node) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _wrong_call(node)
        elif isinstance(node, ast.arguments) and id(node) not in methods and {"self", "cls"} & _names_of(node):
            yield "its source calls something self or cls that is not the policy"
        elif isinstance(node, ast.MatchClass) and any(name.startswith("_") for name in node.kwd_attrs):
            yield "its source matches what is not its own"
        elif isinstance(node, ast.Constant) and asks_by_name and _hidden_text(node.value):
            yield f"its source has the text {node.value!r:.40}, and asks for attributes by text"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in ("self", "cls"):
            yield "its source calls something self or cls that is not the policy"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in imported:
            yield f"its source changes {_root(node)}, which it has imported"
        yield from _wrong_words(node, bound)
    yield from _passed_on(tree)


def _wrong_words(node: ast.AST, bound: bool) -> Iterator[str]:
    """What is wrong with what a node names."""
    if isinstance(node, ast.Import):
        yield from (wrong for alias in node.names if (wrong := _wrong_module(alias.name)))
        if any(alias.name == "eebench.statistics" for alias in node.names):
            yield "its source imports eebench.statistics whole, and may take only statistic from there"
    elif isinstance(node, ast.ImportFrom):
        yield from _wrong_import(node, bound)
    elif isinstance(node, ast.Attribute) and _is_hidden(node):
        yield f"its source uses .{node.attr}, which is not its own"
    elif isinstance(node, ast.Name) and node.id in CALLS:
        yield f"its source uses {node.id}"
    elif isinstance(node, (ast.Name, ast.Attribute)) and _last_name(node) in ("Bound", "could_stop") and not bound:
        yield f"its source uses {_last_name(node)}, which sees the layers to come"


def _tree(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _wrong_import(node: ast.ImportFrom, bound: bool) -> Iterator[str]:
    module = node.module or ""
    if node.level or _wrong_module(module):
        yield _wrong_module(module) or "its source imports a module that lies beside it, and a policy is one file"
    if module == "eebench.statistics":
        others = (alias.name for alias in node.names if alias.name not in OF_STATISTICS)
        yield from (
            f"its source imports {name} from {module}, and may take only statistic from there" for name in others
        )
    yield from (
        f"its source imports {alias.name}, which sees the layers to come"
        for alias in node.names
        if alias.name == "Bound" and not bound
    )


def _wrong_module(module: str) -> str:
    """What is wrong with a module's being imported, as the end of a sentence."""
    top = module.partition(".")[0]
    if top in FORBIDDEN or (top == "eebench" and module not in OF_EEBENCH):
        return f"its source imports {module}, and a policy has its view and nothing else"
    return ""


def _is_hidden(node: ast.Attribute) -> bool:
    """A private attribute of anything but the policy itself, what Python keeps there, or what unlocks an array."""
    if node.attr in OF_ITSELF:
        return False
    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    if node.attr in UNLOCKING:
        return not own
    between = node.attr.startswith("__") and node.attr.endswith("__")
    return node.attr.startswith("_") and (between or not own or node.attr in OF_THE_VIEW)


def _wrong_call(node: ast.Call) -> Iterator[str]:
    """An attribute that is asked for by a text which nobody can read in the source."""
    name = _last_name(node.func)
    if name in ("getattr", "hasattr") and len(node.args) > 1 and not _by_variable(node):
        asked = node.args[1]
        text = asked.value if isinstance(asked, ast.Constant) else None
        if not isinstance(text, str) or text.startswith("_") or text in UNLOCKING:
            yield f"its source uses {name} with a name that is not its own, or cannot be read in it"
    elif name == "format" and isinstance(node.func, ast.Attribute):
        text = node.func.value.value if isinstance(node.func.value, ast.Constant) else None
        if not isinstance(text, str) or "._" in text:
            yield "its source uses .format with a text that may ask for what is not its own"


def _by_variable(node: ast.Call) -> bool:
    """Whether a call asks for an attribute by the name in a variable, as built-in policies do in a loop."""
    return _last_name(node.func) in ("getattr", "hasattr") and len(node.args) > 1 and isinstance(node.args[1], ast.Name)


def _hidden_text(value: object) -> bool:
    return isinstance(value, str) and (value.startswith("_") or value in UNLOCKING) and value != "__main__"


def _methods(tree: ast.Module) -> set[int]:
    """Which arguments are those of functions that stand in a class and begin with self or cls alone."""
    functions = [one for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body]
    found = [one.args for one in functions if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {id(one) for one in found if one.args and not {"self", "cls"} & (_names_of(one) - {one.args[0].arg})}


def _names_of(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {one.arg for one in every if one is not None}


def _imported(tree: ast.Module) -> set[str]:
    """What a source calls the things that it imports."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).partition(".")[0] for node in nodes for alias in node.names}


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _passed_on(tree: ast.Module) -> Iterator[str]:
    """getattr and its like under another name, and modules that are handed on: what is done there cannot be read."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    asked = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    modules = {(alias.asname or alias.name).partition(".")[0] for node in nodes for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id in ("getattr", "hasattr") and id(node) not in called:
                yield f"its source hands {node.id} on"
            elif node.id in modules and id(node) not in asked:
                yield f"its source hands the module {node.id} on"


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
