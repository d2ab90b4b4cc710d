"""Sums with small numbers, in digits, in words and in one-line stories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, words

WORDS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NAMES = words("Tom Anna Omar Lily Ben Rosa Sam Nina Paul Mia Hugo Clara")
THINGS = words("apples coins books eggs cards shells pencils stamps plums balls keys candles")
GAINS = ("{n} had {a} {t} and got {b} more. Now {n} has", "{n} found {a} {t}, then {b} more. Together that makes")
LOSSES = ("{n} had {a} {t} and lost {b}. Now {n} has", "From {a} {t}, {n} gave away {b}. What is left is")
DOUBLES = ("Twice {a} is", "Two times {a} equals", "{a} and {a} make", "The double of {a} is")
HALVES = ("Half of {a} is", "{a} divided by two is", "Split {a} in two equal parts and each part is")

Story = Callable[[Random], tuple[str, int]]


def _near(answer: int, random: Random) -> list[int]:
    """Three wrong numbers close by, as often below the answer as above it where there is room."""
    below = list(range(max(answer - 4, 0), answer))
    above = list(range(answer + 1, min(answer + 4, 20) + 1))
    number = random.randint(max(0, 3 - len(above)), min(3, len(below)))
    return random.sample(below, number) + random.sample(above, 3 - number)


def _sentence(context: str) -> str:
    return context[0].upper() + context[1:]


def _sum(random: Random) -> tuple[str, int]:
    a, b = random.randint(2, 9), random.randint(1, 5)
    return random.choice(("{} + {} =", "{} plus {} is", "{} and {} add up to")).format(a, b), a + b


def _difference(random: Random) -> tuple[str, int]:
    a = random.randint(4, 12)
    b = random.randint(1, 3)
    return random.choice(("{} - {} =", "{} minus {} is", "{} take away {} leaves")).format(a, b), a - b


def _gain(random: Random) -> tuple[str, int]:
    a, b = random.randint(1, 8), random.randint(2, 8)
    name, things = random.choice(NAMES), random.choice(THINGS)
    return random.choice(GAINS).format(n=name, t=things if a > 1 else things[:-1], a=WORDS[a], b=WORDS[b]), a + b


def _loss(random: Random) -> tuple[str, int]:
    a = random.randint(4, 12)
    b = random.randint(1, a - 2)
    name, things = random.choice(NAMES), random.choice(THINGS)
    return random.choice(LOSSES).format(n=name, t=things, a=WORDS[a], b=WORDS[b]), a - b


def _spelled(random: Random) -> tuple[str, int]:
    context, answer = random.choice((_sum, _difference))(random)
    spelled = " ".join(WORDS[int(word)] if word.isdigit() else word for word in context.split())
    return spelled.replace("+", "plus").replace("-", "minus").replace("=", "equals"), answer


def _scaled(random: Random) -> tuple[str, int]:
    small = random.randint(2, 10)
    if random.random() < 0.5:
        return random.choice(DOUBLES).format(a=WORDS[small]), 2 * small
    return random.choice(HALVES).format(a=WORDS[2 * small]), small


def _counting(random: Random) -> tuple[str, int]:
    """Four numbers in a row by a fixed step, up or down."""
    step = random.choice((-2, -1, 1, 2, 3))
    start = random.randint(1, 8) if step > 0 else random.randint(10, 20)
    lead = random.choice(("", "Counting: ", "Next in line: ", "They counted "))
    return lead + ", ".join(WORDS[start + i * step] for i in range(4)) + ",", start + 4 * step


# what is asked, how many documents, whether the choices are digits
KINDS: tuple[tuple[Story, int, bool], ...] = (
    (_sum, 32, True),
    (_difference, 32, True),
    (_spelled, 32, False),
    (_gain, 24, False),
    (_loss, 24, False),
    (_scaled, 24, False),
    (_counting, 48, False),
)


def _distinct(story: Story, number: int, random: Random) -> Iterator[tuple[str, int]]:
    seen: set[str] = set()
    while len(seen) < number:
        context, answer = story(random)
        if context not in seen:
            seen.add(context)
            yield context, answer


def rows(random: Random) -> list[Row]:
    questions = []
    for story, number, digits in KINDS:
        for context, answer in _distinct(story, number, random):
            choices = [str(n) if digits else WORDS[n] for n in (answer, *_near(answer, random))]
            questions.append(Question(_sentence(context), choices[0], tuple(choices[1:])))
    return choice_rows(questions, random)
