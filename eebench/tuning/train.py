"""Joint optimisation: train a LoRA adapter, or all weights, so that every layer can be stopped at.

The loop is the Hugging Face Trainer's: order of data, optimiser, checkpoints and resuming are its own. What is
ours is the loss (`eebench.tuning.exit_loss`), read from the model's own head at every layer: exits need no weights that
are added.
"""

from __future__ import annotations

import json
import shutil
import warnings
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.models.blocks import LayerReader
from eebench.models.loading import LoadedModel, LoadOptions, adapter_errors, load_model
from eebench.progress import Advance, Progress, Silent
from eebench.tuning.exit_loss import Anchor, ExitLoss, active_layers, layer_weights
from eebench.tuning.host_memory import keep_freed_memory
from eebench.tuning.recipe import DEFAULT_RANK, Recipe
from eebench.tuning.text_data import TextBlocks, blocks_of, read_texts

HELD_OUT_POSITIONS = 512
"""Positions of held-out text that the curve is measured at."""

HELD_OUT_TOKENS = 4096
FEWEST_HELD_OUT = 4
"""Text that is held out: so many tokens, and of long blocks so many of these."""


@dataclass(frozen=True)
class Point:
    """The model on held-out text after so many steps.

    Attributes:
        full_loss: cross-entropy of the full model, nats per token.
        agreement: share of positions at which each layer's top-1 is the full model's. [layers]
        oracle_saving: share of layers that an oracle would save.
    """

    step: int
    full_loss: float
    agreement: tuple[float, ...]
    oracle_saving: float


@dataclass(frozen=True)
class Tuned:
    """What training gave: the name to load it by, where it lies, and held-out text before and after."""

    name: str
    folder: Path
    first: Point
    last: Point


def tune(
    recipe: Recipe,
    output: Path,
    *,
    options: LoadOptions | None = None,
    save_every: int = 50,
    measure_every: int = 50,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Tuned:
    """Train by a recipe into a folder, going on from the checkpoint that is there, if it is the same recipe's.

    The folder then holds an adapter (name the model `MODEL+FOLDER`) or a whole model (name the folder), `recipe.json`
    and `curve.json`.

    Raises:
        EEBenchError: the model or the data cannot be had, the folder holds something else, or it cannot be written.
    """
    progress = progress or Silent()
    _refuse_another(output, recipe, fresh)
    loaded = _load(recipe, options)
    if loaded.device == "cpu":
        keep_freed_memory()
    if loaded.model.config.is_encoder_decoder:
        raise EEBenchError(f"{recipe.model} is an encoder-decoder model: tuning is for decoder-only ones.")
    held_out = max(HELD_OUT_TOKENS // recipe.length, FEWEST_HELD_OUT)
    blocks = blocks_of(loaded.tokenizer, read_texts(recipe.data, recipe.field, recipe.split), recipe.length, held_out)
    before = deepcopy(loaded.model) if recipe.anchor and recipe.method == "full" else None
    model = _trainable(loaded, recipe)
    _claim(output, recipe, fresh)
    reader = LayerReader(loaded.model)
    loss = ExitLoss(
        reader,
        recipe.objective,
        recipe.early_weight,
        layer_weights(recipe.weighting, reader.num_layers),
        recipe.temperature,
        _anchor(recipe, reader, model, before),
    )
    curve = Curve(output / "curve.json", reader, blocks.held_out, recipe.seed)
    checkpoint = _last_checkpoint(output)
    if checkpoint is None:
        curve.measure(0)
    else:
        curve.resume(_step_of(checkpoint))
        progress.note(f"going on from step {_step_of(checkpoint)}")
    with progress.stage(f"Tuning {recipe.model} for {recipe.steps} steps", recipe.steps) as advance:
        trainer = _ExitTrainer(
            loss,
            recipe,
            model=model,
            args=_arguments(recipe, output, loaded.device, save_every),
            train_dataset=[{"input_ids": torch.from_numpy(block)} for block in blocks.train],
            callbacks=[_Reporting(advance, progress, curve, measure_every, recipe.steps)],
        )
        trainer.remove_callback(PrinterCallback)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft and accelerate have advice, none of it for whoever tunes here
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            _save(model, loaded, recipe, blocks, output)
    base = loaded.source.base or recipe.model
    name = f"{base}+{output}" if recipe.method == "lora" else str(output)
    return Tuned(name, output, curve.points[0], curve.points[-1])


def _load(recipe: Recipe, options: LoadOptions | None) -> LoadedModel:
    """The model; an adapter is left out where it is to be trained on, since `_trainable` puts it on unmerged."""
    options = options or LoadOptions()
    return load_model(recipe.model, replace(options, without_adapter=recipe.method == "lora"))


# --- the folder --------------------------------------------------------------------------------------------------


def _refuse_another(output: Path, recipe: Recipe, fresh: bool) -> None:
    """Refuse a folder that holds another training, or something else."""
    known = output / "checkpoints" / "recipe.json"
    if fresh:
        return
    try:
        if known.is_file():
            found, wanted = json.loads(known.read_text(encoding="utf-8")), _plain(recipe)
            if differing := [name for name in wanted if found.get(name) != wanted[name]]:
                raise EEBenchError(
                    f"{output} holds a training with another {', '.join(differing)}: give the same options to go on "
                    f"with it, another --output, or --fresh to begin anew."
                )
        elif output.exists() and any(output.iterdir()):
            raise EEBenchError(f"{output} is not empty: give another --output, or --fresh to write over it.")
    except OSError as error:
        raise EEBenchError(f"{output} cannot be read ({error.strerror or error}): give another --output.") from error
    except ValueError:
        raise EEBenchError(f"{known} is damaged: begin anew with --fresh.") from None


def _claim(output: Path, recipe: Recipe, fresh: bool) -> None:
    """Make the folder this recipe's."""
    checkpoints = output / "checkpoints"
    try:
        if fresh and checkpoints.exists():
            shutil.rmtree(checkpoints)
        checkpoints.mkdir(parents=True, exist_ok=True)
        write_whole(checkpoints / "recipe.json", json.dumps(_plain(recipe), indent=2).encode())
    except OSError as error:
        raise EEBenchError(f"{output} cannot be written ({error.strerror or error}): give another --output.") from error


def _plain(recipe: Recipe) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain


def _last_checkpoint(output: Path) -> Path | None:
    whole = [path for path in (output / "checkpoints").glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(whole, key=_step_of, default=None)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _save(model: Any, loaded: LoadedModel, recipe: Recipe, blocks: TextBlocks, output: Path) -> None:
    """The result beside its checkpoints, in bfloat16: half the size, and less than its own noise apart."""
    try:
        model.to(torch.bfloat16).save_pretrained(output)
        if recipe.method == "full":
            loaded.tokenizer.save_pretrained(output)
        about = {
            **asdict(recipe),
            "model_id": loaded.model_id,
            "revision": loaded.revision,
            "data": [Path(source).name if Path(source).exists() else source for source in recipe.data],
            "data_sha256": blocks.digest,
            "blocks": len(blocks.train),
            **_of_adapters(model, loaded, recipe),
            "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        }
        write_whole(output / "recipe.json", json.dumps(about, indent=2).encode())
        (output / "README.md").unlink(missing_ok=True)  # peft's model card, with nothing filled in
    except OSError as error:
        raise EEBenchError(f"the result could not be written to {output} ({error.strerror or error}).") from error


def _of_adapters(model: Any, loaded: LoadedModel, recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of an adapter: its rank, and of one that was trained on, what it is on and its own recipe."""
    if recipe.method == "full":
        return {}
    about: dict[str, Any] = {"rank": model.peft_config["default"].r}
    if loaded.source.adapter:
        about |= {"model": loaded.source.base, "model_id": loaded.model_id.rpartition("+")[0]}
        with suppress(OSError, ValueError):  # an adapter of another program has none, or one of another kind
            about["after"] = json.loads((loaded.source.adapter / "recipe.json").read_text(encoding="utf-8"))
    return about


# --- training ----------------------------------------------------------------------------------------------------


def _trainable(loaded: LoadedModel, recipe: Recipe) -> Any:
    """What is trained; an adapter is put into the loaded model's own blocks, so that reading it reads both."""
    if recipe.method == "full":
        return loaded.model.float().requires_grad_(True)
    try:
        from peft import LoraConfig, PeftModel, get_peft_model
    except ImportError:
        raise EEBenchError("tuning trains an adapter with the peft package: pip install 'eebench[peft]'.") from None
    torch.manual_seed(recipe.seed)
    if loaded.source.adapter:
        with adapter_errors(loaded.source.adapter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = PeftModel.from_pretrained(loaded.model, str(loaded.source.adapter), is_trainable=True)
        return _of_rank(recipe, model)
    rank = recipe.rank or DEFAULT_RANK
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(loaded.model, config)
    except ValueError as error:
        raise EEBenchError(
            f"{recipe.model} has no linear layers that peft can adapt ({str(error)[:120]}): train all weights with "
            f"--method full."
        ) from error
    model.peft_config["default"].base_model_name_or_path = loaded.model_id
    return model


def _of_rank(recipe: Recipe, model: Any) -> Any:
    """The model, if its adapter has the rank that is asked for."""
    if recipe.rank not in (None, rank := model.peft_config["default"].r):
        raise EEBenchError(f"the adapter of {recipe.model} has rank {rank}, not {recipe.rank}: leave out --rank.")
    return model


def _anchor(recipe: Recipe, reader: LayerReader, model: Any, before: Any) -> Anchor | None:
    """The model as it was: a copy where all weights are trained, else the one that the adapter is on, without it."""
    if not recipe.anchor:
        return None
    if before is not None:
        return Anchor(recipe.anchor, LayerReader(before), nullcontext)
    return Anchor(recipe.anchor, reader, model.disable_adapter)


def _arguments(recipe: Recipe, output: Path, device: str, save_every: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output / "checkpoints"),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup_steps=min(recipe.warmup, recipe.steps // 2),
        lr_scheduler_type="cosine",
        weight_decay=0.0,
        bf16=recipe.precision == "bfloat16",
        use_cpu=device == "cpu",
        seed=recipe.seed,
        save_steps=save_every,
        save_total_limit=2,
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_drop_last=True,
        dataloader_pin_memory=device != "cpu",
    )


class _ExitTrainer(Trainer):  # type: ignore[misc]
    """The Trainer with the early-exit loss."""

    def __init__(self, loss: ExitLoss, recipe: Recipe, **trainer: Any) -> None:
        super().__init__(**trainer)
        self._loss, self._recipe = loss, recipe
        self._parts: list[tuple[float, float]] = []

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_args: Any, **_kwargs: Any) -> Tensor:
        recipe, step = self._recipe, self.state.global_step
        layers = active_layers(
            recipe.curriculum, self._loss.reader.num_layers, step, recipe.steps, recipe.layers, recipe.seed
        )
        input_ids = inputs["input_ids"]
        with self.accelerator.autocast():
            losses = self._loss(input_ids, _positions(input_ids, recipe.positions, (recipe.seed, step)), layers)
        self._parts.append((losses.full, losses.early))
        return losses.total

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if self._parts and "loss" in logs:
            full, early = np.mean(self._parts, axis=0)
            logs |= {"full_loss": float(full), "early_loss": float(early)}
            self._parts.clear()
        super().log(logs, *args, **kwargs)


def _positions(input_ids: Tensor, count: int, seed: tuple[int, int]) -> Tensor:
    """Positions of a batch that have a next token, `count` of them drawn."""
    every = input_ids.shape[0] * (input_ids.shape[1] - 1)
    drawn = np.random.default_rng(seed).permutation(every)[:count]
    return torch.from_numpy(np.sort(drawn)).to(input_ids.device)


class _Reporting(TrainerCallback):  # type: ignore[misc]
    """Progress on the terminal, and a point on the curve now and then."""

    def __init__(self, advance: Advance, progress: Progress, curve: Curve, every: int, last: int) -> None:
        self._advance, self._progress, self._curve, self._every, self._last = advance, progress, curve, every, last

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        self._advance(1)
        if state.global_step % self._every == 0 or state.global_step == self._last:
            point = self._curve.measure(state.global_step)
            self._progress.note(
                f"step {point.step}: full-depth loss {point.full_loss:.3f}, oracle saves {point.oracle_saving:.1%}"
            )

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_kw: Any) -> None:
        if logs and "full_loss" in logs:
            self._curve.trained.append(
                {"step": state.global_step, "full_loss": logs["full_loss"], "early_loss": logs["early_loss"]}
            )


# --- the curve ---------------------------------------------------------------------------------------------------


class Curve:
    """The loss on the way, kept in a file: training losses, and points on held-out text."""

    def __init__(self, path: Path, reader: LayerReader, held_out: np.ndarray[Any, Any], seed: int) -> None:
        self._path, self._reader, self._held_out = path, reader, torch.from_numpy(held_out).to(reader.device)
        self._at = _positions(self._held_out, HELD_OUT_POSITIONS, (seed, 0))
        self.points: list[Point] = []
        self.trained: list[dict[str, float]] = []

    def resume(self, step: int) -> None:
        """Take up the curve as it was at a step.

        Raises:
            EEBenchError: the file is missing or damaged.
        """
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            points = [Point(**{**point, "agreement": tuple(point["agreement"])}) for point in kept["held_out"]]
            self.points = [point for point in points if point.step <= step]
            self.trained = [point for point in kept["trained"] if point["step"] <= step]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EEBenchError(f"{self._path} is missing or damaged: begin anew with --fresh.") from error

    def measure(self, step: int) -> Point:
        """Measure held-out text, and write the curve."""
        point = self._point(step)
        self.points.append(point)
        content = {"held_out": [asdict(point) for point in self.points], "trained": self.trained}
        write_whole(self._path, json.dumps(content, indent=1).encode())
        return point

    @torch.inference_mode()
    def _point(self, step: int) -> Point:
        width = self._held_out.shape[1] - 1
        rows, columns = self._at // width, self._at % width
        was_training = self._reader.model.training
        self._reader.model.eval()
        states = self._reader.states(self._held_out, rows, columns)
        final = self._reader.logits(states[-1])
        full_loss = float(torch.nn.functional.cross_entropy(final, self._held_out[rows, columns + 1]))
        agrees = torch.stack([self._reader.logits(state).argmax(-1) == final.argmax(-1) for state in states])
        self._reader.model.train(was_training)
        oracle = agrees.int().argmax(0) + 1
        saving = 1 - float(oracle.float().mean()) / len(states)
        return Point(step, full_loss, tuple(float(share) for share in agrees.float().mean(1)), saving)
