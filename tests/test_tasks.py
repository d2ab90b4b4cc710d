"""EEBench's own tasks: what their documents promise, and that lm-eval loads every one of them from anywhere."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eebench.tasks import generate

FOLDER = Path(generate.__file__).parent
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/*.jsonl"))
Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (FOLDER / name / f"{name}.jsonl").read_text("utf-8").splitlines()]


def part(name: str, split: str) -> list[Row]:
    return [row for row in read(name) if row["split"] == split]


def text(row: Row) -> str:
    return str(row.get("context", row.get("text")))


CHOOSING = [name for name in NAMES if "choices" in read(name)[0]]
PROMPTED = [name for name in NAMES if "context" in read(name)[0]]
GENERATED = ["edits", "lists", "records"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that bears the tag `eebench`, as lm-eval loads it while the working directory is somewhere else."""
    from lm_eval.tasks import TaskManager

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        tasks: dict[str, Any] = TaskManager(include_path=str(FOLDER), include_defaults=False).load("eebench")["tasks"]
        return tasks


def test_every_generator_has_its_file_and_every_file_its_generator() -> None:
    assert sorted(map(generate.name_of, generate.GENERATORS)) == NAMES


def test_regenerating_gives_the_same_bytes(tmp_path: Path) -> None:
    generate.write(tmp_path)
    for name in NAMES:
        path = f"{name}/{name}.jsonl"
        assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes(), (
            f"run python -m eebench.tasks.generate: {path}"
        )


def test_the_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    for seed in "12":
        command = [sys.executable, "-m", "eebench.tasks.generate", "--folder", str(tmp_path / seed)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
    for name in NAMES:
        path = f"{name}/{name}.jsonl"
        assert (tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_task_scores_200_documents(name: str) -> None:
    assert len(part(name, "test")) == 200


@pytest.mark.parametrize("name", NAMES)
def test_no_two_documents_ask_the_same(name: str) -> None:
    repeated = [asked for asked, times in Counter(map(text, read(name))).items() if times > 1]
    assert not repeated


@pytest.mark.parametrize("name", NAMES)
def test_text_is_plain_ascii_without_stray_space(name: str) -> None:
    for row in read(name):
        for piece in (text(row), *row.get("choices", []), row.get("target", "word")):
            assert piece.isascii()
            assert piece == " ".join(piece.split())
            assert piece
            assert not re.search(r"\{\w*\}", piece)  # a slot that nothing was put into; JSON has no such


@pytest.mark.parametrize("name", PROMPTED)
def test_sixteen_fewshot_documents_are_never_scored(name: str) -> None:
    scored = set(map(text, part(name, "test")))
    fewshot = list(map(text, part(name, "fewshot")))
    assert len(fewshot) == 16
    assert not scored.intersection(fewshot)


@pytest.mark.parametrize("name", CHOOSING)
def test_choices_are_distinct_and_equally_many(name: str) -> None:
    rows = read(name)
    assert {len(set(row["choices"])) for row in rows} == {len(rows[0]["choices"])}


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("split", ["test", "fewshot"])
def test_the_answer_is_equally_often_at_each_index(name: str, split: str) -> None:
    rows = part(name, split)
    counts = Counter(row["answer"] for row in rows)
    assert set(counts) == set(range(len(rows[0]["choices"])))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("extreme", [min, max])
def test_the_answer_cannot_be_told_by_its_length(name: str, extreme: Any) -> None:
    """Among documents with one shortest (longest) choice, that choice is right no more often than a guess is."""
    told = guesses = 0
    for row in part(name, "test"):
        lengths = [len(choice) for choice in row["choices"]]
        if lengths.count(extreme(lengths)) == 1:
            guesses += 1
            told += lengths.index(extreme(lengths)) == row["answer"]
    chance = 1 / len(row["choices"])
    assert told < guesses * chance + 3 * math.sqrt(guesses * chance * (1 - chance))


def test_twin_endings_are_each_right_once_and_wrong_once() -> None:
    rows = read("endings")
    offered = Counter(choice for row in rows for choice in row["choices"])
    right = Counter(row["choices"][row["answer"]] for row in rows)
    assert all(offered[ending] == 2 * times for ending, times in right.items())


def test_a_last_word_stands_earlier_in_its_passage() -> None:
    assert all(row["target"] in row["context"] for row in read("lastword"))


def test_every_folder_loads_as_a_task_from_another_working_directory(loaded: dict[str, Any]) -> None:
    assert sorted(path.parent.name for path in FOLDER.glob("*/*.yaml")) == NAMES
    assert sorted(loaded) == [f"eebench_{name}" for name in NAMES]
    for name in NAMES:
        assert len(loaded[f"eebench_{name}"].test_docs()) == 200


def test_every_task_names_its_version(loaded: dict[str, Any]) -> None:
    assert {task.VERSION for task in loaded.values()} == {1.0}


def test_kinds_of_request(loaded: dict[str, Any]) -> None:
    kinds = {name: loaded[f"eebench_{name}"].OUTPUT_TYPE for name in NAMES}
    assert {name for name, kind in kinds.items() if kind == "multiple_choice"} == set(CHOOSING)
    assert kinds["lastword"] == "loglikelihood"
    assert [name for name, kind in kinds.items() if kind == "loglikelihood_rolling"] == ["passages"]
    assert [name for name, kind in kinds.items() if kind == "generate_until"] == GENERATED


@pytest.mark.parametrize("name", PROMPTED)
def test_a_request_is_the_context_and_a_space_and_the_answer(loaded: dict[str, Any], name: str) -> None:
    """The space and the answer are left to the model where it writes them itself."""
    task = loaded[f"eebench_{name}"]
    row, first = part(name, "test")[0], task.test_docs()[0]
    context = task.fewshot_context(first, num_fewshot=0)
    requests = task.construct_requests(first, context, metadata=(task.config.task, 0, 1))
    instances = requests if isinstance(requests, list) else [requests]
    answers = row.get("choices") or [row["target"]]
    asked = [task.config.generation_kwargs] if name in GENERATED else [f" {answer}" for answer in answers]
    assert [instance.args for instance in instances] == [(row["context"], what) for what in asked]


@pytest.mark.parametrize("name", PROMPTED)
def test_fewshot_examples_come_from_their_own_split(loaded: dict[str, Any], name: str) -> None:
    task = loaded[f"eebench_{name}"]
    prompt = task.fewshot_context(task.test_docs()[0], num_fewshot=2)
    *examples, asked = prompt.split("\n\n")
    known = {
        f"{row['context']} {row['target'] if 'target' in row else row['choices'][row['answer']]}"
        for row in part(name, "fewshot")
    }
    assert len(examples) == 2
    assert set(examples) <= known
    assert asked == task.test_docs()[0]["context"]
