"""Word analogies: carry the relation of one pair over to another."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, others, shuffled

# relation: first and second word of each pair
RELATIONS = {
    "young": "dog puppy, cat kitten, cow calf, horse foal, sheep lamb, pig piglet, duck duckling, bear cub, deer fawn, "
    "goose gosling, hen chick, frog tadpole",
    "opposite": "hot cold, big small, up down, early late, rich poor, wet dry, strong weak, old young, light dark, "
    "open closed, fast slow, happy sad",
    "past": "go went, see saw, eat ate, take took, write wrote, swim swam, give gave, sing sang, fly flew, "
    "drive drove, speak spoke, begin began",
    "plural": "mouse mice, child children, man men, tooth teeth, foot feet, goose geese, leaf leaves, woman women, "
    "knife knives, person people, wolf wolves, city cities",
    "woman": "king queen, brother sister, father mother, uncle aunt, prince princess, husband wife, son daughter, "
    "nephew niece, boy girl, actor actress, waiter waitress, grandfather grandmother",
    "workplace": "teacher school, doctor hospital, farmer field, chef kitchen, sailor ship, actor theater, "
    "judge court, priest church, scientist laboratory, librarian library, banker bank, pilot cockpit",
    "made of": "window glass, shirt cotton, tire rubber, book paper, wall brick, sword steel, sweater wool, "
    "necklace gold, shoe leather, candle wax, table wood, statue marble",
    "used for": "knife cutting, pen writing, oven baking, broom sweeping, needle sewing, shovel digging, "
    "car driving, bed sleeping, soap washing, gun shooting, rod fishing, brush painting",
    "home": "bird nest, bee hive, fish water, spider web, king castle, prisoner prison, monk monastery, horse stable, "
    "lion den, soldier barracks, camper tent, patient hospital",
}
TEMPLATES = (
    "{a} is to {b} as {c} is to",
    "{a} goes with {b}, and {c} goes with",
    "First {a} and {b}, then {c} and",
    "{a} : {b}, {c} :",
)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(first, second) for first, second in (pair.split() for pair in text.split(", "))]


def _relation(name: str, pairs: list[tuple[str, str]], random: Random) -> list[Question]:
    """Each pair is asked about twice, and half of the time the shown pair's second word is offered as a trap."""
    questions = []
    for number, (asked, answer) in enumerate(pairs * 2):
        shown, second = random.choice([pair for pair in pairs if pair[0] != asked and pair[1] != answer])
        trap = (second,) if number % 2 else ()
        pool = [word for _, word in pairs if word != second]
        context = TEMPLATES[(number + number // len(pairs)) % len(TEMPLATES)].format(a=shown, b=second, c=asked)
        distractors = trap + others(pool, answer, 2 - len(trap), random)
        questions.append(Question(context[0].upper() + context[1:], answer, distractors, family=f"{name}: {asked}"))
    return questions


def rows(random: Random) -> list[Row]:
    questions = []
    for name, text in RELATIONS.items():
        questions += _relation(name, shuffled(_pairs(text), random), random)
    return choice_rows(questions, random)
