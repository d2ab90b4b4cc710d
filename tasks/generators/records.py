"""Short structured lines: find the values in a sentence and fill a form with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from eebench.tasks.generators.documents import Question, Row, target_rows, words

POOLS = {
    "name": words("Anna Ben Carla David Emma Frank Grace Henry Irene Jack Karen Leo Maria Nick Olga Peter Rosa Tom"),
    "age": [str(age) for age in range(19, 80)],
    "city": words("Oslo Rome Paris Berlin Madrid London Vienna Dublin Boston Chicago Tokyo Cairo Lima Delhi Athens"),
    "job": words("nurse pilot baker judge farmer teacher lawyer cook singer painter driver doctor tailor sailor"),
    "item": words("lamp chair table mirror jacket guitar camera bicycle carpet kettle clock basket"),
    "color": words("red blue green yellow black white brown gray"),
    "price": [str(price) for price in range(12, 99)],
    "day": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "room": [str(room) for room in range(11, 60)],
    "dish": words("soup rice pizza salad fish pasta stew curry"),
    "drink": words("tea coffee milk juice water lemonade cocoa cider"),
}
NUMBERS = ("age", "price", "room")


@dataclass(frozen=True)
class Domain:
    """What is told, and the order in which a form asks for it."""

    fields: tuple[str, ...]
    sentences: tuple[str, ...]


DOMAINS = (
    Domain(
        ("name", "age"),
        (
            "{name} is {age} years old.",
            "At {age}, {name} still swims every day.",
            "Last week {name} turned {age}.",
        ),
    ),
    Domain(
        ("name", "age", "city"),
        (
            "{name} is {age} and lives in {city}.",
            "{name}, who is {age}, comes from {city}.",
            "In {city} we met {name}, who is {age}.",
        ),
    ),
    Domain(
        ("name", "job", "city"),
        (
            "{name} works as a {job} in {city}.",
            "The new {job} in {city} is called {name}.",
            "{name} left {city} to become a {job}.",
        ),
    ),
    Domain(
        ("item", "color", "price"),
        (
            "The {color} {item} costs {price} dollars.",
            "For {price} dollars you get a {color} {item}.",
            "This {item} is {color} and its price is {price} dollars.",
        ),
    ),
    Domain(
        ("name", "room", "day"),
        (
            "{name} has room {room} on {day}.",
            "On {day}, room {room} is kept for {name}.",
            "Room {room} was given to {name} last {day}.",
        ),
    ),
    Domain(
        ("name", "dish", "drink"),
        (
            "{name} ordered {dish} and {drink}.",
            "Bring {name} some {drink} and the {dish}.",
            "After the {dish}, {name} asked for {drink}.",
        ),
    ),
)


def _json(fields: Sequence[str], values: Sequence[str]) -> str:
    pairs = (
        f'"{field}": {value}' if field in NUMBERS else f'"{field}": "{value}"'
        for field, value in zip(fields, values, strict=True)
    )
    return "{" + ", ".join(pairs) + "}"


def _labelled(fields: Sequence[str], values: Sequence[str]) -> str:
    return ", ".join(f"{field.capitalize()}: {value}" for field, value in zip(fields, values, strict=True))


FORMS = (_json, _labelled)
DOCUMENTS = 216
BLANK = "?"


def _question(number: int, random: Random) -> Question:
    """Domains, sentences and forms take turns; a value is left blank in the form as a question mark."""
    domain = DOMAINS[number % len(DOMAINS)]
    sentence = domain.sentences[number // len(DOMAINS) % len(domain.sentences)]
    form = FORMS[number // len(DOMAINS) // len(domain.sentences) % len(FORMS)]
    facts = {field: random.choice(POOLS[field]) for field in domain.fields}
    # JSON takes many tokens, so it asks for two of the facts only, in any order.
    fields = random.sample(domain.fields, 2) if form is _json else domain.fields
    values = [facts[field] for field in fields]
    blank = form(fields, [BLANK] * len(values))
    context = f"{sentence.format(**facts)} Fill in {blank} ->"
    return Question(context, form(fields, values), family=" ".join(facts.values()))


def rows(random: Random) -> list[Row]:
    questions: dict[str, Question] = {}
    while len(questions) < DOCUMENTS:
        question = _question(len(questions), random)
        questions.setdefault(question.context, question)
    return target_rows(list(questions.values()), random)
