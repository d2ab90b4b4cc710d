"""Folders and .tar.gz files that come from somebody else: read safely, and written whole or not at all.

What is read may be hostile. Nothing is taken but plain files under relative names, counted and measured before they are
kept; links, devices, and names that lead out of the folder are refused.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eebench.errors import EEBenchError

SUFFIXES = (".tar.gz", ".tgz")

DEPTH = 3
"""Folders in folders."""

_PART = r"(?!\.\.?(/|$))[A-Za-z0-9._+=@-]{1,200}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,{DEPTH}}}")
_HEADERS = 1 << 20
"""Bytes an archive may spend between two files on saying what comes next."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The most that is read."""

    files: int
    bytes: int


def is_archive(path: Path) -> bool:
    """Whether a path is named as an archive."""
    return path.name.endswith(SUFFIXES)


def name_part(text: str) -> str:
    """A name as a part of a file's name: the last part of a path, in letters, digits and hyphens."""
    last = text.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9]+", "-", last).strip("-")[:60] or "unnamed"


# --- reading -----------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Path]:
    """A folder, or what a .tar.gz holds, as a folder of plain files.

    Raises:
        EEBenchError: it is neither, is damaged, holds more than `limits` allow, or anything but plain files under plain
            names.
    """
    if path.is_dir():
        files_in(path, limits)
        yield path
    elif path.is_file() and is_archive(path):
        with tempfile.TemporaryDirectory(prefix="eebench-") as folder:
            _unpack(path, Path(folder), limits)
            yield Path(folder)
    elif path.exists():
        raise EEBenchError(f"{path} is neither a folder nor a .tar.gz file: give one of these.")
    else:
        raise EEBenchError(f"there is nothing at {path}: give a folder or a .tar.gz file that exists.")


def files_in(folder: Path, limits: Limits) -> list[str]:
    """The names of the files in a folder, relative to it and in order.

    Raises:
        EEBenchError: there are more than `limits` allow, or something that is not a plain file under a plain name.
    """
    names: list[str] = []
    total = 0
    for path in _everything_in(folder):
        name = path.relative_to(folder).as_posix()
        _check_name(folder, name)
        names.append(name)
        total += path.stat().st_size
        _check_size(folder, len(names), total, limits)
    return sorted(names)


def _everything_in(folder: Path, deeper: int = DEPTH) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and deeper:
                yield from _everything_in(Path(entry.path), deeper - 1)
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                raise EEBenchError(f"{entry.path} is a link, a device or a folder too deep: only files are read.")


def _unpack(path: Path, folder: Path, limits: Limits) -> None:
    try:
        with gzip.open(path) as unzipped:
            metered = _Metered(unzipped)
            with tarfile.open(fileobj=metered, mode="r|", errorlevel=2) as archive:
                _unpack_members(path, archive, metered, folder, limits)
    except _TooLong:
        raise EEBenchError(f"{path} is not an archive that EEBench packs: its headers go on for too long.") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise EEBenchError(f"{path} is not a whole .tar.gz file ({error}): get it anew.") from None


def _unpack_members(path: Path, archive: tarfile.TarFile, metered: _Metered, folder: Path, limits: Limits) -> None:
    files, total = 0, 0
    while True:
        metered.allowed = _HEADERS
        member = archive.next()
        if member is None:
            return
        files, total = files + 1, total + member.size
        _check_size(path, files, total, limits)
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise EEBenchError(f"{path} holds {member.name!r}, which is a link or a device: only files are read.")
        name = member.name.removeprefix("./")
        _check_name(path, name)
        metered.allowed = member.size + _HEADERS
        _unpack_file(path, archive, member, folder / name)


def _unpack_file(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = archive.extractfile(member)
    assert content is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with place.open("xb") as file:
            shutil.copyfileobj(content, file, _PIECE)
    except FileExistsError:
        raise EEBenchError(f"{path} holds two files named {member.name!r}.") from None


def _check_name(where: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise EEBenchError(
            f"{where} holds a file named {name[:120]!r}: names are relative, {DEPTH} folders deep at most, and of "
            f"letters, digits and . _ + = @ -."
        )


def _check_size(where: Path, files: int, total: int, limits: Limits) -> None:
    if files > limits.files or total > limits.bytes:
        raise EEBenchError(
            f"{where} holds more than {limits.files} files or {limits.bytes / 1e6:.0f} MB, which are the most that is "
            f"read."
        )


class _TooLong(Exception):
    """More was to be read than there may be before the next file."""


class _Metered(io.RawIOBase):
    """A stream of which no more is read than is allowed: a few kilobytes can be packed that unpack to terabytes.

    Attributes:
        allowed: bytes that may be read from here on.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream = stream
        self.allowed = _HEADERS

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size if 0 <= size <= self.allowed else self.allowed + 1)
        if len(content) > self.allowed:
            raise _TooLong
        self.allowed -= len(content)
        return content


# --- writing -----------------------------------------------------------------------------------------------------


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A folder to write to, which becomes the folder or the .tar.gz at `path` when the block ends well.

    Raises:
        EEBenchError: there is something at `path` already, no folder to put it in, or it cannot be written.
    """
    check_free(path)
    try:
        # Beside its place, so that it can be renamed; hidden, so that nobody takes it for what it will be.
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:40]}.", dir=path.parent) as temporary:
            folder = Path(temporary) / "content"
            folder.mkdir()
            yield folder
            if is_archive(path):
                packed = Path(temporary) / "packed"
                _pack(folder, packed)
                packed.replace(path)
            else:
                folder.rename(path)
    except OSError as error:
        raise EEBenchError(f"{path} cannot be written ({error.strerror or error}).") from None


def check_free(path: Path) -> None:
    """Refuse a place where something is, or that is in no folder.

    Raises:
        EEBenchError: as said.
    """
    if path.exists() or path.is_symlink():
        raise EEBenchError(f"{path} is there already: remove it, or give another name.")
    if not path.parent.is_dir():
        raise EEBenchError(f"{path} cannot be written: there is no folder {path.parent}.")


def _pack(folder: Path, path: Path) -> None:
    """A .tar.gz of the same bytes whenever and by whomever it is packed."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(source.relative_to(folder).as_posix())
            member.size, member.mode = source.stat().st_size, 0o644
            with source.open("rb") as content:
                archive.addfile(member, content)
