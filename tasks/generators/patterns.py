"""Continue a pattern or copy from the context; every choice has been seen in it."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, words

# Of the first six kinds one can say "the" or "this one"; the others only fill bare patterns.
KINDS = [
    words("lamp chair table bed clock mirror shelf rug"),
    words("cat dog horse cow sheep goat pig duck"),
    words("king queen knight bishop judge pilot nurse clown"),
    words("hat coat shirt shoe belt scarf glove sock"),
    words("train plane boat truck bike bus taxi tram"),
    words("piano violin flute drum guitar harp trumpet cello"),
    words("red blue green yellow black white brown purple"),
    words("milk bread eggs cheese butter rice salt honey"),
    words("sun moon star cloud rain snow wind storm"),
    words("north south east west left right up down"),
    words("hammer nail saw rope ladder brush bucket drill"),
    words("apple pear plum grape lemon cherry peach melon"),
]
THINGS = 6
PEOPLE = words("Anna Ben Carla David Emma Frank Grace Henry Irene Jack Karen Leo Maria Nick Olga Peter")
SENTENCES = (
    "The old {} stood beside the {} and the {}.",
    "She drew the {}, then the {}, and last the {}.",
    "This {} and that {} are worth more than the {}.",
    "I dreamed of the {}, the {} and the huge {}.",
    "Nobody saw the {} or the {}, only the {}.",
    "First we found the {}, second the {}, third the {}.",
)
SCENES = ("First comes the {}, then the {}, and finally the {}.", "Here come the {}, the {} and the {}.")


def _cycle(three: list[str], random: Random) -> tuple[str, str]:
    """The three words over and over; where the cycle is broken off, a choice from the same three."""
    length = random.choice((6, 7, 8))
    gap = random.choice((" ", ", "))
    return gap.join(three[i % 3] for i in range(length)) + gap.rstrip(), three[length % 3]


def _mirror(three: list[str], random: Random) -> tuple[str, str]:
    there_and_back = [*three, *three[::-1]]
    shown = random.choice((4, 5))
    gap = random.choice((", ", " - "))
    example = gap.join(there_and_back)
    return f"{example}; {gap.join(there_and_back[:shown])}{gap.rstrip()}", there_and_back[shown]


def _double(three: list[str], random: Random) -> tuple[str, str]:
    doubled = [word for word in three for _ in range(2)]
    shown = random.choice((1, 3, 5))
    return ", ".join(doubled + doubled[:shown]) + ",", doubled[shown]


def _recall(three: list[str], random: Random) -> tuple[str, str]:
    people = random.sample(PEOPLE, 3)
    link, end = random.choice(((":", "."), (" =", ";"), (" picked", "."), (" ->", ",")))
    shown = " ".join(f"{person}{link} {word}{end}" for person, word in zip(people, three, strict=True))
    asked = random.randrange(3)
    return f"{shown} {people[asked]}{link}", three[asked]


def _list(three: list[str], random: Random) -> tuple[str, str]:
    verb, echo = random.choice((("wrote", "copied"), ("said", "said it too"), ("picked", "also picked")))
    teller, copier = random.sample(PEOPLE, 2)
    copied = random.choice((1, 2))
    return f"{teller} {verb}: {', '.join(three)}. {copier} {echo}: {', '.join(three[:copied])},", three[copied]


def _sentence(three: list[str], random: Random) -> tuple[str, str]:
    sentence = random.choice(SENTENCES).format(*three)
    asked = random.randrange(3)
    return f"{sentence} {sentence[: sentence.rindex(three[asked])].rstrip()}", three[asked]


def _after(three: list[str], random: Random) -> tuple[str, str]:
    """Two runs in different orders: only the word before tells what comes next."""
    first, second, third = three
    asked = random.choice(((first, second), (second, third)))
    lead = random.choice((third, "then"))
    return f"{first} {second} {third}, {lead} {first} {second} {third}, {third} {asked[0]}", asked[1]


def _place(three: list[str], random: Random) -> tuple[str, str]:
    asked, place = random.choice(((0, "first"), (2, "last")))
    scene = random.choice(SCENES)
    return f"{scene.format(*three)} The one that comes {place} is the", three[asked]


BARE_SHAPES = (_cycle, _mirror, _double, _recall, _list, _after)
THING_SHAPES = (_sentence, _place)
DOCUMENTS_OF_A_SHAPE = 27


def rows(random: Random) -> list[Row]:
    questions: dict[str, Question] = {}
    for shape in BARE_SHAPES + THING_SHAPES:
        kinds = KINDS[:THINGS] if shape in THING_SHAPES else KINDS
        wanted = len(questions) + DOCUMENTS_OF_A_SHAPE
        while len(questions) < wanted:
            three = random.sample(kinds[len(questions) % len(kinds)], 3)
            context, answer = shape(three, random)
            wrong = tuple(word for word in three if word != answer)
            questions.setdefault(context, Question(context, answer, wrong))
    return choice_rows(list(questions.values()), random)
