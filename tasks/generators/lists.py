"""Carry a list on to the end of its last row, as the rows before it say, and stop there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from eebench.tasks.generators.documents import Question, Row, target_rows, words

DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("January February March April May June July August September October November December")
LETTERS = words("A B C D E F G H I J K L M N O P Q R S T U V W X Y Z")
NUMBERS = words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
ORDINALS = words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
# Words of one kind, which have no order of their own.
KINDS = [
    words("red blue green yellow black white"),
    words("cat dog horse cow sheep goat"),
    words("sun moon star cloud rain snow"),
    words("apple pear plum lemon cherry peach"),
    words("left right up down front back"),
    words("drum flute harp piano violin trumpet"),
]
NUMBERED = words("room page gate line step day game seat lane shelf")
WIDTH = 3

Items = list[str]


def _some(random: Random, number: int) -> Items:
    return random.sample(random.choice(KINDS), number)


def _same(random: Random) -> list[Items]:
    """One row again and again."""
    return [_some(random, random.choice((3, 4, 5)))] * random.choice((2, 3))


def _same_line(random: Random) -> list[Items]:
    """A stretch of days, months, letters or numbers, onward or back, and again."""
    line, length = random.choice((DAYS, MONTHS, LETTERS, NUMBERS)), random.choice((3, 4))
    start = random.randrange(len(line) - length + 1)
    return [line[start : start + length][:: random.choice((1, -1))]] * 2


def _numbered(random: Random) -> list[Items]:
    first = random.randint(1, 7)
    nouns = random.sample(NUMBERED, random.choice((2, 3)))
    return [[f"{noun} {first + i}" for i in range(WIDTH)] for noun in nouns]


def _ordinal(random: Random) -> list[Items]:
    first = random.randrange(8)
    nouns = random.sample([noun for kind in KINDS[1:4] for noun in kind], random.choice((2, 3)))
    return [[f"{ordinal} {noun}" for ordinal in ORDINALS[first : first + WIDTH]] for noun in nouns]


def _alternating(random: Random) -> list[Items]:
    """Two words in turn, so that an odd row starts with the one and the next with the other."""
    two = _some(random, 2)
    length = random.choice((3, 3, 5))
    return [[two[(row + i) % 2] for i in range(length)] for row in range(3)]


def _coupled(random: Random) -> list[Items]:
    """Letters down, numbers across."""
    letter, number = random.randrange(len(LETTERS) - WIDTH), random.randint(1, 6)
    return [[f"{LETTERS[letter + row]}{number + i}" for i in range(WIDTH)] for row in range(WIDTH)]


def _onward(random: Random) -> list[Items]:
    """Three rows that go on where the last one ended, or move by one."""
    line, move = random.choice(((DAYS, 1), (MONTHS, 3), (MONTHS, 1), (LETTERS, 3), (LETTERS, 1), (NUMBERS, 3)))
    start = random.randrange(len(line) - 2 * move - WIDTH + 1)
    return [line[start + row * move :][:WIDTH] for row in range(WIDTH)]


def _downward(random: Random) -> list[Items]:
    line = random.choice((NUMBERS, LETTERS, MONTHS))[::-1]
    start = random.randrange(len(line) - 3 * WIDTH + 1)
    return [line[start + row * WIDTH :][:WIDTH] for row in range(WIDTH)]


def _multiples(random: Random) -> list[Items]:
    """Counting by a number of its own in each row."""
    return [[str(step * i) for i in (1, 2, 3)] for step in random.sample((2, 3, 4, 5, 6, 8, 10, 20), 3)]


def _mirrored(random: Random) -> list[Items]:
    """Each second row is the one before it, backwards."""
    shown, asked = (_some(random, WIDTH) for _ in range(2))
    return [shown, shown[::-1], asked, asked[::-1]]


SHAPES: tuple[tuple[Callable[[Random], list[Items]], int], ...] = (
    (_same, 30),
    (_same_line, 30),
    (_numbered, 30),
    (_ordinal, 30),
    (_alternating, 20),
    (_coupled, 20),
    (_onward, 24),
    (_downward, 12),
    (_multiples, 10),
    (_mirrored, 10),
)


def _question(lines: Sequence[Items]) -> Question:
    """Of the last row only the first item is shown."""
    *shown, (first, *asked) = lines
    context = "; ".join([*(", ".join(items) for items in shown), first])
    answer = ", ".join(asked)
    return Question(f"{context},", answer, family=answer)


def rows(random: Random) -> list[Row]:
    questions: dict[str, Question] = {}
    for shape, documents in SHAPES:
        wanted = len(questions) + documents
        while len(questions) < wanted:
            question = _question(shape(random))
            questions.setdefault(question.context, question)
    return target_rows(list(questions.values()), random)
