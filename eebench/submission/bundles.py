"""A bundle: the results of a run as a folder of small text files, to be sent, read, compared and checked by others.

    bundle.json                        format, provenance, and the SHA-256 of every other file
    evaluations/01-<task>-full.json    what all settings on a (model, task) share, a document to a line
    evaluations/01-<task>-full.jsonl   a setting to a line: its figures, and its rows per document
    policies/<name>-<hash>.py          the source of every policy that is not built in

No text of any data set is in it: documents and prompts are hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from eebench.archives import Limits, files_in, name_part, opened, written_whole
from eebench.errors import EEBenchError
from eebench.plugins.sources import LARGEST, hash_of
from eebench.records.results import Evaluation, Provenance, Result
from eebench.submission.bundle_format import (
    FORMAT,
    Contents,
    EvaluationFile,
    EvaluationFiles,
    FromRun,
    ResultLine,
    SourceFile,
)
from eebench.submission.bundle_text import contents_text, evaluation_text, result_text

CONTENTS = "bundle.json"

LIMITS = Limits(files=5000, bytes=1 << 28)
"""The largest bundle that is read."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Measured:
    """A (model, task) under a KV mode, and the settings that were measured on it, with their rows per document."""

    evaluation: Evaluation
    results: tuple[Result, ...]

    def __str__(self) -> str:
        return where(self.evaluation)


def where(evaluation: Evaluation) -> str:
    """What was measured: model, task and KV mode."""
    mode = "" if evaluation.kv_mode == "full" else f", KV mode {evaluation.kv_mode}"
    return f"{evaluation.model} on {evaluation.task}{mode}"


@dataclass(frozen=True)
class Bundle:
    """The results of a run.

    Attributes:
        started, finished: when the run was, as ISO 8601 times.
        sources: SHA-256 -> the source of a policy that is not built in.
        digest: the SHA-256 of its `bundle.json`, which names all else by hash.
        altered: files that are not what `bundle.json` says, in sentences.
        verified: evaluation -> policy -> entries that a trace had proved when a leaderboard accepted it. Whoever sends
            a bundle has no say in it.
    """

    started: str
    finished: str
    provenance: Provenance
    evaluations: tuple[Measured, ...]
    sources: Mapping[str, bytes]
    digest: str = ""
    altered: tuple[str, ...] = ()
    verified: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def ended(self) -> datetime:
        """When its run ended, as it says."""
        return datetime.fromisoformat(self.finished)

    @property
    def name(self) -> str:
        """What its folder on a leaderboard is called: when and what, and which of them."""
        return f"{self.finished[:10]}-{name_part(self.evaluations[0].evaluation.model)}-{self.digest[:12]}"


# --- writing -----------------------------------------------------------------------------------------------------


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle to a folder, or to a .tar.gz.

    Raises:
        EEBenchError: there is something already, or it cannot be written.
    """
    with written_whole(path) as folder:
        write_into(bundle, folder)


def write_into(bundle: Bundle, folder: Path) -> None:
    """Write a bundle to a folder that is there and empty.

    Raises:
        OSError: it cannot be written.
    """
    files: dict[str, bytes] = {}
    evaluations = []
    for number, measured in enumerate(bundle.evaluations, start=1):
        evaluation = measured.evaluation
        stem = f"evaluations/{number:02}-{name_part(evaluation.task)}-{evaluation.kv_mode}"
        lines = [result_text(result, evaluation.documents) for result in measured.results]
        files[f"{stem}.json"] = evaluation_text(evaluation).encode()
        files[f"{stem}.jsonl"] = "".join(lines).encode()
        evaluations.append(EvaluationFiles(evaluation=f"{stem}.json", results=f"{stem}.jsonl"))
    policies = [SourceFile(sha256=digest, file=name) for digest, name in _source_names(bundle).items()]
    files |= {source.file: bundle.sources[source.sha256] for source in policies}
    contents = Contents(
        format=FORMAT,
        run=FromRun(started=bundle.started, finished=bundle.finished, **vars(bundle.provenance)),
        evaluations=tuple(evaluations),
        policies=tuple(policies),
        files={name: hash_of(content) for name, content in files.items()},
    )
    files[CONTENTS] = contents_text(contents).encode()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _source_names(bundle: Bundle) -> dict[str, str]:
    """Hash -> the file that holds the source, named for a policy that is in it."""
    named = {result.policy_hash: result.policy for measured in bundle.evaluations for result in measured.results}
    return {digest: f"policies/{name_part(named[digest])}-{digest[:12]}.py" for digest in bundle.sources}


# --- reading -----------------------------------------------------------------------------------------------------


def read_bundle(path: Path) -> Bundle:
    """A bundle from its folder or .tar.gz.

    Raises:
        EEBenchError: it is no bundle, is damaged, or is of another version; what its figures say is not checked.
    """
    with opened(path, LIMITS) as folder:
        try:
            return _read(folder)
        except _Malformed as error:
            raise EEBenchError(f"{path} is no whole bundle: {error}.") from None


class _Malformed(Exception):
    """What is wrong with a bundle, and in which file."""


def _read(folder: Path) -> Bundle:
    contents = (folder / CONTENTS).read_bytes() if (folder / CONTENTS).is_file() else None
    if contents is None:
        raise _Malformed(f"it has no {CONTENTS}")
    said = _parsed(Contents, contents, CONTENTS)
    _check_names(set(files_in(folder, LIMITS)), said)
    _check_sizes(folder, said)
    hashes = [*said.files.items(), *((source.file, source.sha256) for source in said.policies)]
    altered = {
        f"{name} is not the file that {CONTENTS} names: its SHA-256 differs"
        for name, digest in hashes
        if hash_of((folder / name).read_bytes()) != digest
    }
    evaluations = tuple(_read_measured(folder, files) for files in said.evaluations)
    _check_apart(evaluations)
    _check_measured(evaluations, said)
    return Bundle(
        started=said.run.started,
        finished=said.run.finished,
        provenance=said.run.provenance(),
        evaluations=evaluations,
        sources={source.sha256: (folder / source.file).read_bytes() for source in said.policies},
        digest=hashlib.sha256(contents).hexdigest(),
        altered=tuple(sorted(altered)),
    )


def _check_names(there: set[str], said: Contents) -> None:
    named = [file for files in said.evaluations for file in (files.evaluation, files.results)]
    named += [source.file for source in said.policies]
    used = set(named)
    if twice := [file for file, times in Counter(named).items() if times > 1]:
        raise _Malformed(f"{CONTENTS} names {twice[0]} more than once")
    if missing := sorted((used | said.files.keys()) - there):
        raise _Malformed(f"{missing[0]} is missing")
    if unnamed := sorted(there - said.files.keys() - {CONTENTS}):
        raise _Malformed(f"it holds {unnamed[0]}, which {CONTENTS} does not name")
    if unnamed := sorted(used - said.files.keys()):
        raise _Malformed(f"{CONTENTS} gives no SHA-256 of {unnamed[0]}")
    if unused := sorted(said.files.keys() - used):
        raise _Malformed(f"it holds {unused[0]}, which is neither an evaluation nor the source of a policy")


def _check_sizes(folder: Path, said: Contents) -> None:
    for source in said.policies:
        if (size := (folder / source.file).stat().st_size) > LARGEST:
            raise _Malformed(f"{source.file} has {size} bytes, and {LARGEST} are the most that a policy's source has")


def _check_apart(evaluations: Sequence[Measured]) -> None:
    """Each (model, task) under a KV mode is there once, and a name stands for one model."""
    models: dict[str, str] = {}
    for number, measured in enumerate(evaluations):
        one = measured.evaluation
        if str(measured) in map(str, evaluations[:number]):
            raise _Malformed(f"it has {measured} more than once")
        if models.setdefault(one.model, one.model_id) != one.model_id:
            raise _Malformed(
                f"{one.model} is {models[one.model]} in one of its evaluations and {one.model_id} in another"
            )


def _check_measured(evaluations: Sequence[Measured], said: Contents) -> None:
    """Every source is that of a policy that was measured."""
    measured = {result.policy_hash for one in evaluations for result in one.results if not result.builtin}
    for source in said.policies:
        if source.sha256 not in measured:
            raise _Malformed(f"it holds {source.file}, the source of no policy that it has results of")


def _read_measured(folder: Path, files: EvaluationFiles) -> Measured:
    evaluation = _parsed(EvaluationFile, (folder / files.evaluation).read_bytes(), files.evaluation).record()
    lines = (folder / files.results).read_bytes().splitlines()
    results = [
        _parsed(ResultLine, line, f"{files.results}, line {number}").record(evaluation.documents)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not results:
        raise _Malformed(f"{files.results} has no results")
    return Measured(evaluation, tuple(results))


def _parsed(model: type[Model], content: bytes, where: str) -> Model:
    try:
        parsed = model.model_validate_json(content)
        json.loads(content, object_pairs_hook=_once_each)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = _shown(".".join(map(str, wrong["loc"])))
        said = wrong["msg"].removeprefix("Value error, ").rstrip(".")
        raise _Malformed(f"{where}{f', {place}' if place else ''}: {said}") from None
    except _Twice as error:
        raise _Malformed(f"{where}: {_shown(str(error))} is there twice") from None
    except (ValueError, RecursionError):
        raise _Malformed(f"{where}: Invalid JSON") from None
    return parsed


class _Twice(Exception):
    """A name that an object of JSON has twice, so that readers differ in what it says."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are there once each.

    Raises:
        _Twice: one is not.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Twice(next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number])))
    return made


def _shown(text: str) -> str:
    """Text of somebody else's, on one line and not for ever."""
    escaped = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return escaped if len(escaped) <= 120 else f"{escaped[:120]}..."


# --- some of it --------------------------------------------------------------------------------------------------


def only(bundle: Bundle, models: Sequence[str] = (), tasks: Sequence[str] = (), policies: Sequence[str] = ()) -> Bundle:
    """A bundle of these models, tasks and policies; the full model and bounds stay, since others are read beside them.

    Raises:
        EEBenchError: nothing of a name is in it.
    """
    every = [(m.evaluation.model, m.evaluation.task, r.policy) for m in bundle.evaluations for r in m.results]
    for kind, names, place in (("model", models, 0), ("task", tasks, 1), ("policy", policies, 2)):
        known = dict.fromkeys(one[place] for one in every)
        for name in names:
            if name not in known:
                raise EEBenchError(f"the run has no results of {kind} '{name}': there are {', '.join(known)}.")
    kept = list(_kept(bundle.evaluations, models, tasks, policies))
    if not kept:
        raise EEBenchError(f"the run has no results of {', '.join(models)} on {', '.join(tasks)}.")
    return replace(bundle, evaluations=tuple(kept))


def _kept(
    evaluations: Sequence[Measured], models: Sequence[str], tasks: Sequence[str], policies: Sequence[str]
) -> Iterator[Measured]:
    for measured in evaluations:
        evaluation = measured.evaluation
        if (models and evaluation.model not in models) or (tasks and evaluation.task not in tasks):
            continue
        beside = [r for r in measured.results if not policies or r.policy in policies or _is_reference(r)]
        yield replace(measured, results=tuple(beside))


def _is_reference(result: Result) -> bool:
    return result.policy == "full" or result.kind == "bound"
