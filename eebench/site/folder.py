"""The folder a site lies in: replaced as a whole or not at all, and never one that holds anything else."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from eebench.errors import EEBenchError

MARKER = "eebench-site.json"
"""The file that says a folder is a site of EEBench's, and what is in it."""


def check(out: Path) -> None:
    """
    Raises:
        EEBenchError: a site cannot be written there without writing over something else.
    """
    folder = out.resolve()
    if not folder.parent.is_dir():
        raise EEBenchError(f"{out} cannot be written: there is no folder {folder.parent}.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise EEBenchError(f"{out} is a file: give the name of a folder for the site.")
    if not any(folder.iterdir()):
        return
    ours = contents(folder)
    if ours is None:
        raise EEBenchError(f"{out} is not a site that EEBench made, and is left alone: give the name of a new folder.")
    foreign = next((path for path in _files(folder) if path not in ours), None)
    if foreign:
        raise EEBenchError(f"{out} holds {foreign}, which is no part of the site: move it away, or give a new folder.")


def contents(folder: Path) -> set[str] | None:
    """The files of a site, or None where the folder is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {MARKER, *json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]}
    return None


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def write(out: Path, files: Iterable[tuple[str, bytes]]) -> int:
    """Write a site whole or not at all, in the place of an older one if there is one; returns how many files.

    Raises:
        EEBenchError: it cannot be written, or something else is there.
    """
    check(out)
    folder = out.resolve()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as t:
            new = Path(t) / "new"
            count = _fill(new, files)
            _swap(new, folder, Path(t) / "old")
    except OSError as error:
        raise EEBenchError(f"{out} cannot be written: {error.strerror or error}.") from None
    return count


def _fill(new: Path, files: Iterable[tuple[str, bytes]]) -> int:
    names = []
    for name, content in files:
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        names.append(name)
    about = {"made by": "eebench site build", "files": sorted(names)}
    (new / MARKER).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return len(names) + 1


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put the new folder where the other is, or leave all as it was."""
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
