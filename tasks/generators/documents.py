"""What every generator shares: questions, their split into test and few-shot, and the order of the choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

TEST_DOCUMENTS = 200
FEWSHOT_DOCUMENTS = 16

Row = dict[str, object]
T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A context with its right continuation and, in a multiple-choice task, wrong ones.

    Questions of one family share a fact or a pair of endings, so a family is never on both sides of a split.
    """

    context: str
    answer: str
    distractors: tuple[str, ...] = ()
    family: str = ""


def table(text: str) -> list[list[str]]:
    """The cells of a table written as lines, with " | " between cells. Empty lines are left out."""
    return [line.split(" | ") for line in text.strip().splitlines() if line]


def words(text: str) -> list[str]:
    return text.split()


def others(pool: Iterable[str], answer: str, number: int, random: Random) -> tuple[str, ...]:
    """`number` wrong choices drawn from a pool in which the right one may lie too."""
    return tuple(random.sample(sorted(set(pool) - {answer}), number))


def shuffled(items: Iterable[T], random: Random) -> list[T]:
    order = list(items)
    random.shuffle(order)
    return order


def split(questions: Sequence[Question], random: Random) -> dict[str, list[Question]]:
    """Few-shot documents are whole families, so that no example gives a scored answer away."""
    families: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        families[question.family or question.context].append(question)
    fewshot: list[Question] = []
    test: list[Question] = []
    for family in shuffled(families.values(), random):
        fits = len(fewshot) + len(family) <= FEWSHOT_DOCUMENTS
        (fewshot if fits else test).extend(family)
    return {"test": shuffled(test, random)[:TEST_DOCUMENTS], "fewshot": shuffled(fewshot, random)}


def choice_rows(questions: Sequence[Question], random: Random) -> list[Row]:
    """Rows of a multiple-choice task. Within a split the right choice is equally often at each index."""
    rows: list[Row] = []
    for name, part in split(questions, random).items():
        for number, question in enumerate(part):
            choices = shuffled(question.distractors, random)
            answer = number % (len(choices) + 1)
            choices.insert(answer, question.answer)
            rows.append({"split": name, "context": question.context, "choices": choices, "answer": answer})
    return rows


def target_rows(questions: Sequence[Question], random: Random) -> list[Row]:
    """Rows of a task with one continuation to be scored and no choices."""
    return [
        {"split": name, "context": question.context, "target": question.answer}
        for name, part in split(questions, random).items()
        for question in part
    ]
