"""lm-eval tasks: finding them by name, loading them, and building their requests."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eebench.errors import EEBenchError, unknown
from eebench.models.hub import go_offline, reachable
from eebench.own_tasks import OWN_TAGS, OWN_TASKS, own_tasks_dir

os.environ.setdefault("TQDM_DISABLE", "1")  # lm-eval's own bars; EEBench shows one of its own
if not reachable():
    go_offline()  # else each data set that is not here is asked for again and again, for half a minute

import datasets
import lm_eval.utils
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

# lm-eval compiles a task's templates anew for every document it scores; a hundred settings score each a hundred times.
lm_eval.utils.env.from_string = cache(lm_eval.utils.env.from_string)

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")


@dataclass(frozen=True)
class TaskOptions:
    """How tasks are set up, as lm-eval means it; None leaves each task its own number."""

    limit: int | None = None
    num_fewshot: int | None = None
    chat_template: bool = False
    seed: int = 1234
    datasets_dir: Path | None = None
    max_gen_toks: int | None = None


@dataclass(frozen=True)
class LoadedTask:
    """An lm-eval task that EEBench can score."""

    name: str
    version: str
    task: Any

    @property
    def num_fewshot(self) -> int:
        return int(self.task.get_config("num_fewshot") or 0)

    @property
    def output_type(self) -> str:
        return str(self.task.OUTPUT_TYPE)

    @property
    def generates(self) -> bool:
        """Whether its answers are texts that the model writes."""
        return self.output_type == "generate_until"

    def num_documents(self, options: TaskOptions) -> int:
        """Documents that a run scores."""
        there = len(self.task.eval_docs)
        return there if options.limit is None else min(there, options.limit)

    def requests(self, options: TaskOptions, encoder: Any) -> list[Instance]:
        """The task's requests, document by document, with the prompts lm-eval makes."""
        self.task.set_fewshot_seed(options.seed)  # its sampler moves on with each use
        chat = options.chat_template
        self.task.build_all_requests(
            limit=options.limit,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            chat_template=encoder.apply_chat_template if chat else None,
            tokenizer_name=encoder.tokenizer_name if chat else "",
        )
        return list(self.task.instances)


def load_tasks(names: Sequence[str], options: TaskOptions) -> list[LoadedTask]:
    """Load tasks, tags, groups and YAML paths, each leaf task once, in order.

    Raises:
        EEBenchError: nobody knows the name, its data set cannot be had, or it has nothing that EEBench can score.
    """
    _quiet()
    manager = _manager(names)
    loaded: dict[str, LoadedTask] = {}
    for name in names:
        for task in _load(manager, name, options.datasets_dir):
            _set_up(task, options)
            version = str(getattr(task, "VERSION", "") or "")
            loaded.setdefault(task.task_name, LoadedTask(task.task_name, version, task))
    return list(loaded.values())


def all_task_names() -> list[str]:
    """Every task, tag and group that lm-eval knows, EEBench's own included. Takes seconds: lm-eval reads them all."""
    _quiet()
    return list(_full_manager().all_tasks)


def task_file(name: str) -> Path:
    """The YAML file of a task or group of lm-eval.

    Raises:
        EEBenchError: there is none of this name, or it is a tag, which has no file of its own.
    """
    _quiet()
    manager = _full_manager()
    if name not in manager.all_tasks:
        raise _unknown_task(name, manager)
    entry = manager.task_index[name]
    if entry.yaml_path is None:
        raise EEBenchError(f"'{name}' is a tag for {', '.join(sorted(entry.tags))}: show one of these.")
    return Path(entry.yaml_path)


def _unknown_task(name: str, manager: TaskManager) -> EEBenchError:
    return unknown("task", name, manager.all_tasks, "`eebench tasks` lists EEBench's own, `eebench tasks --all` all.")


def _manager(names: Sequence[str]) -> TaskManager:
    """Our own tasks and YAML paths need no index of lm-eval's thousands, which takes seconds to build."""
    if all(name in OWN_TASKS or name in OWN_TAGS or _is_path(name) for name in names):
        return TaskManager(include_path=str(own_tasks_dir()), include_defaults=False)
    return _full_manager()


def _full_manager() -> TaskManager:
    return TaskManager(include_path=str(own_tasks_dir()))


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _load(manager: TaskManager, name: str, datasets_dir: Path | None) -> list[Any]:
    if _is_path(name) and not Path(name).is_file():
        raise EEBenchError(f"no task file at {name}: give the path of an lm-eval YAML file that exists.")
    if not _is_path(name) and name not in manager.all_tasks:
        raise unknown(
            "task", name, manager.all_tasks, "`eebench tasks` lists EEBench's own, `eebench tasks --all` all."
        )
    try:
        with _datasets_from(datasets_dir):
            return list(manager.load([name])["tasks"].values())
    except EEBenchError:
        raise
    except Exception as error:  # a task may run any code of its own while it loads
        raise _loading_error(name, error, datasets_dir) from error


def _loading_error(name: str, error: Exception, datasets_dir: Path | None) -> EEBenchError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    hub_errors = ("ConnectionError", "OfflineModeIsEnabled", "DatasetNotFoundError", "LocalEntryNotFoundError")
    if any(kind.__name__ in hub_errors for kind in type(error).__mro__) or "huggingface" in first_line.lower():
        where = f"is not under {datasets_dir} and " if datasets_dir else ""
        return EEBenchError(
            f"task '{name}': its data set {where}could not be had from the hub ({first_line}); check the network, or "
            f"give a folder that holds it in the hub's layout with --datasets-dir."
        )
    return EEBenchError(
        f"task '{name}' could not be loaded ({type(error).__name__}: {first_line}); check its YAML file."
    )


def _set_up(task: Any, options: TaskOptions) -> None:
    if task.OUTPUT_TYPE not in OUTPUT_TYPES:
        raise EEBenchError(
            f"task '{task.task_name}' is of type {task.OUTPUT_TYPE}, which EEBench cannot score; "
            f"take tasks of type {', '.join(OUTPUT_TYPES)}."
        )
    if getattr(task, "UNSAFE_CODE", False):
        raise EEBenchError(f"task '{task.task_name}' runs code that a model wrote, which EEBench does not do.")
    own_shots = task.get_config("num_fewshot")
    if options.num_fewshot is not None and own_shots != 0:  # lm-eval's rule: a task's own 0 is meant
        task.set_config(key="num_fewshot", value=options.num_fewshot)
    elif own_shots is None:
        task.set_config(key="num_fewshot", value=0)
    if options.max_gen_toks is not None and task.OUTPUT_TYPE == "generate_until":
        task.set_config(key="generation_kwargs", value={"max_gen_toks": options.max_gen_toks}, update=True)


@contextlib.contextmanager
def _datasets_from(folder: Path | None) -> Iterator[None]:
    """Data sets found under `folder`, in the hub's layout, are loaded from there instead of the hub.

    Tasks call `datasets.load_dataset` from YAML and from code of their own, so this is where all of them pass.
    """
    original = datasets.load_dataset

    def load_dataset(path: str, *args: Any, **kwargs: Any) -> Any:
        here = folder / path if folder else None
        return original(str(here) if here and here.is_dir() else path, *args, **kwargs)

    datasets.load_dataset = load_dataset
    try:
        yield
    finally:
        datasets.load_dataset = original


def _quiet() -> None:
    """Leave the terminal to EEBench: what lm-eval and datasets log while loading is not for its users."""
    for name in ("lm_eval", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
