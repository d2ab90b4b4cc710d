"""Who is who: keep two people apart over one or two short sentences."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, shuffled

# {a} is the answer, {b} the other one. Each frame is asked with both people in both roles.
FRAMES = (
    "{a} is a nurse and {b} is a pilot. The nurse is called",
    "{b} is a baker and {a} is a judge. The judge is called",
    "{a} plays the violin and {b} plays the drums. The drummer is not",
    "{b} was born in Rome and {a} was born in Oslo. The one from Norway is",
    "{b} gave the ball to {a}. Now the ball belongs to",
    "{a} got a letter from {b}. The person who opened the letter was",
    "{b} sold the old car to {a}. The car's new owner is",
    "{b} lent {a} a pen. Later the pen was given back by",
    "{b} asked {a} a hard question. It was answered by",
    "{b} told a joke and {a} laughed. The joke amused",
    "{b} was late, so {a} had to wait. The one who waited was",
    "{b} threw the ball and {a} caught it. The catch was made by",
    "{a} was the teacher and {b} was the pupil. The lesson was given by",
    "{b} was sick, and the doctor, {a}, came at once. The patient was treated by",
    "{b} broke the vase, and {a} was blamed for it. The blame was put on",
    "{a} beat {b} at chess. The winner of the game was",
    "{b} lost the race to {a}. The race was won by",
    "{a} is older than {b}. The older one is",
    "{b} is shorter than {a}. The taller of the two is",
    "{b} runs faster than {a}. The slower runner is",
    "{b} wrote the book, and {a} read it. The reader was",
    "{a} cooked dinner and {b} washed up. The cook was",
    "{b} drove the car while {a} slept. The driver was not",
    "{a} bought the bread and {b} ate it. The shopping was done by",
    "{b} hid and {a} looked everywhere. The one searching was",
    "{b} sang while {a} danced. The dancer was",
    "{b} fell into the river, and {a} jumped in to help. The rescuer was",
)
PAIRS = (
    "Anna Peter",
    "Maria Jack",
    "Emma David",
    "Lisa Henry",
    "Susan Frank",
    "Alice Robert",
    "Karen Mark",
    "Julia Simon",
    "Grace Daniel",
    "Helen Victor",
    "Nancy Oscar",
    "Linda George",
)
PAIRS_OF_A_FRAME = 4


def rows(random: Random) -> list[Row]:
    questions = []
    for frame in FRAMES:
        for pair in shuffled(PAIRS, random)[:PAIRS_OF_A_FRAME]:
            a, b = pair.split()
            for answer, other in ((a, b), (b, a)):
                questions.append(Question(frame.format(a=answer, b=other), answer, (other,), family=frame + pair))
    return choice_rows(questions, random)
