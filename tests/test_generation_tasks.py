"""EEBench's own tasks whose answer the model writes: the answer follows from the prompt, fits, and is judged whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from eebench.tasks import generate
from eebench.tasks.generators import lists, records

FOLDER = Path(generate.__file__).parent
NAMES = ["edits", "lists", "records"]
Row = dict[str, str]
Cells = Sequence[str]


def read(name: str, split: str | None = None) -> list[Row]:
    rows = map(json.loads, (FOLDER / name / f"{name}.jsonl").read_text("utf-8").splitlines())
    return [row for row in rows if split in (None, row["split"])]


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    tasks: dict[str, Any] = manager.load([f"eebench_{name}" for name in NAMES])["tasks"]
    return tasks


def filled(sentence: str, form: str) -> str:
    """The form of a record, filled by the one pattern of its kind of sentence that fits."""
    patterns = [
        re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\w+)", re.escape(text))
        for domain in records.DOMAINS
        for text in domain.sentences
    ]
    (found,) = [match.groupdict() for match in (re.fullmatch(p, sentence) for p in patterns) if match]
    return re.sub(r'(\w+)("?: "?)\?', lambda blank: blank[1] + blank[2] + found[blank[1].lower()], form)


# Rules of a row. Each says how a row goes on from its first item, or None where the rows before it follow another rule.
Rule = Callable[[list[Cells], str], list[str] | None]


def as_before(rows: list[Cells], first: str) -> list[str] | None:
    return list(rows[0][1:]) if first == rows[0][0] and all(row == rows[0] for row in rows) else None


def in_turn(rows: list[Cells], first: str) -> list[str] | None:
    one, other = rows[0][:2]
    if len(rows) < 2 or any(rows[0][i] != (one, other)[i % 2] for i in range(len(rows[0]))):
        return None
    return [(one, other)[(i + (first == other)) % 2] for i in range(1, len(rows[0]))]


def backwards(rows: list[Cells], first: str) -> list[str] | None:
    odd = len(rows) == 3 and rows[0] == rows[1][::-1] and rows[2][-1] == first
    return list(rows[2][::-1][1:]) if odd else None


def going_on(walk: Callable[[str, int], list[str] | None], rows: list[Cells], first: str) -> list[str] | None:
    """How a row goes on, if all rows before it are what `walk` makes of their first item."""
    follows = all(walk(row[0], len(row)) == list(row) for row in rows)
    found = walk(first, len(rows[0])) if follows else None
    return found[1:] if found else None


def along(line: Cells, step: int) -> Rule:
    def walk(item: str, length: int) -> list[str] | None:
        if item not in line:
            return None
        places = [line.index(item) + step * i for i in range(length)]
        return [line[place] for place in places] if min(places) >= 0 and max(places) < len(line) else None

    return lambda rows, first: going_on(walk, rows, first)


def multiples(rows: list[Cells], first: str) -> list[str] | None:
    def walk(item: str, length: int) -> list[str] | None:
        return [str(int(item) * (i + 1)) for i in range(length)] if item.isdigit() else None

    return going_on(walk, rows, first)


def numbered(rows: list[Cells], first: str) -> list[str] | None:
    """The number moves on, and what stands before it stays."""

    def walk(item: str, length: int) -> list[str] | None:
        matched = re.fullmatch(r"(\D+)(\d+)", item)
        return [f"{matched[1]}{int(matched[2]) + i}" for i in range(length)] if matched else None

    return going_on(walk, rows, first)


def ordinal(rows: list[Cells], first: str) -> list[str] | None:
    def walk(item: str, length: int) -> list[str] | None:
        word, _, noun = item.partition(" ")
        if word not in lists.ORDINALS or not noun:
            return None
        return [f"{word} {noun}" for word in lists.ORDINALS[lists.ORDINALS.index(word) :][:length]]

    return going_on(walk, rows, first)


LINES = [lists.DAYS, lists.MONTHS, lists.LETTERS, lists.NUMBERS]
RULES: list[Rule] = [as_before, in_turn, backwards, multiples, numbered, ordinal]
RULES += [along(line, step) for line in LINES for step in (1, -1)]


def test_a_list_goes_on_in_one_way_only() -> None:
    """All rules that the rows before allow lead to the same end of the last row: the answer."""
    for row in read("lists"):
        *parts, first = row["context"].removesuffix(",").split("; ")
        before: list[Cells] = [part.split(", ") for part in parts]
        ends = [", ".join(end) for rule in RULES if (end := rule(before, first)) is not None]
        assert set(ends) == {row["target"]}, row


def test_an_edited_sentence_is_the_sentence_with_its_edit() -> None:
    for row in read("edits"):
        matched = re.fullmatch(r"Change (.+?): (.+) ->", row["context"])
        assert matched
        asked, edited = matched.groups()
        for change in asked.split(" and "):
            old, new = change.split(" to ")
            edited, times = re.subn(rf"\b{old}\b", new, edited)
            assert times == 1
        assert edited == row["target"] != matched[2]


def test_a_record_holds_what_its_sentence_says() -> None:
    for row in read("records"):
        sentence, form = row["context"].removesuffix(" ->").split(" Fill in ")
        assert filled(sentence, form) == row["target"]
        if form.startswith("{"):
            assert len(json.loads(row["target"])) == 2


@pytest.mark.parametrize("name", NAMES)
def test_no_example_has_a_scored_answer(name: str) -> None:
    assert not {row["target"] for row in read(name, "test")} & {row["target"] for row in read(name, "fewshot")}


def test_no_example_edits_a_scored_sentence() -> None:
    def sentences(split: str) -> set[str]:
        return {row["context"].split(": ")[1].split(" ", 1)[1] for row in read("edits", split)}

    assert not sentences("test") & sentences("fewshot")


@pytest.mark.parametrize("name", NAMES)
def test_decoding_is_greedy_and_ends_with_the_line(loaded: dict[str, Any], name: str) -> None:
    config = loaded[f"eebench_{name}"].config
    assert config.generation_kwargs["do_sample"] is False
    assert "\n" in config.generation_kwargs["until"]
    assert config.num_fewshot == 3
    for row in read(name):
        assert not any(stop in row["target"] for stop in config.generation_kwargs["until"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("written", "score"),
    [(" {}", 1.0), ("{} ", 1.0), (" {} and", 0.0), (" {} {}", 0.0), ("", 0.0)],
)
def test_an_answer_counts_only_if_all_of_it_is_right(
    loaded: dict[str, Any], name: str, written: str, score: float
) -> None:
    task = loaded[f"eebench_{name}"]
    document = task.test_docs()[0]
    instance = task.construct_requests(document, "", metadata=(task.config.task, 0, 1))
    instance.resps = [written.replace("{}", document["target"])]
    task._instances = [instance]
    task.apply_filters()
    assert list(instance.filtered_resps) == ["none"]
    assert task.process_results(document, [instance.filtered_resps["none"]]) == {"exact_match": score}


@pytest.mark.real_weights
@pytest.mark.parametrize("name", NAMES)
def test_an_answer_and_its_stop_fit_into_what_may_be_generated(
    loaded: dict[str, Any], smollm2: Path, name: str
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    room = loaded[f"eebench_{name}"].config.generation_kwargs["max_gen_toks"]
    lengths = [len(tokenizer(f" {row['target']}\n")["input_ids"]) for row in read(name)]
    assert max(lengths) <= room
    assert room <= max(lengths) + 4  # a longer one would only be computed in vain
