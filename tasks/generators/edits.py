"""Copy a sentence with one edit: most words are copied, and the exit must not miss the one that is not."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, table, target_rows, words

NAMES = words("Anna Ben Carla David Emma Frank Grace Henry Irene Jack Karen Leo Maria Nick Olga Peter Rosa Tom")
# sentence, with {} for a name | a word in its middle and one to put there | its last noun and one to put there
SENTENCES = table("""
{} ate a red apple. | red green | apple plum
{} lost the small key again. | small big | key ring
{} plays the old piano. | old new | piano guitar
{} sold the blue car. | blue white | car boat
{} saw a white horse. | white black | horse cow
{} lives near the deep lake. | deep cold | lake river
{} likes cold milk. | cold warm | milk tea
{} found two coins. | two three | coins shells
{} wrote a long letter. | long short | letter story
{} took the late bus. | late early | bus train
{} broke the yellow cup. | yellow green | cup plate
{} sings in a large choir. | large small | choir band
{} bought fresh bread. | fresh dark | bread cheese
{} closed the heavy window. | heavy narrow | window door
{} fed the hungry goat. | hungry young | goat pig
{} painted a tiny boat. | tiny tall | boat house
{} forgot the new map. | new old | map book
{} baked four pies. | four six | pies cakes
{} called the kind doctor. | kind new | doctor teacher
{} cleaned the dirty stove. | dirty gray | stove floor
{} hid under the round table. | round low | table bed
{} carried the empty box. | empty heavy | box bag
{} watered the pink roses. | pink yellow | roses tulips
{} missed the first train. | first last | train plane
{} fixed the broken chair. | broken wooden | chair shelf
{} read a sad story. | sad funny | story poem
{} climbed a tall tree. | tall thin | tree hill
{} cut the green paper. | green white | paper cloth
{} wore a soft hat. | soft brown | hat scarf
{} met a famous singer. | famous young | singer painter
{} opened the tin box. | tin wooden | box chest
{} drove the slow truck. | slow fast | truck tractor
{} caught five fish. | five seven | fish crabs
{} drank the bitter coffee. | bitter hot | coffee juice
{} made a wool coat. | wool leather | coat belt
{} heard a loud bell. | loud strange | bell horn
{} visited a rich uncle. | rich poor | uncle cousin
{} drew a happy clown. | happy tired | clown king
{} washed nine plates. | nine ten | plates spoons
{} crossed the narrow bridge. | narrow wide | bridge street
{} followed the lost dog. | lost brown | dog cat
{} hung up the gold mirror. | gold silver | mirror clock
{} picked the ripe pears. | ripe sweet | pears cherries
{} swept the dusty stairs. | dusty stone | stairs steps
{} chased a gray mouse. | gray white | mouse rabbit
{} sent eight cards. | eight two | cards books
{} rented a cheap room. | cheap quiet | room house
{} cooked a thick soup. | thick spicy | soup stew
{} tied the loose rope. | loose long | rope knot
{} dug a deep hole. | deep wide | hole well
{} lit the thin candle. | thin tall | candle lamp
{} guards the iron gate. | iron main | gate tower
{} needs a sharp knife. | sharp short | knife saw
{} thanked the brave pilot. | brave polite | pilot nurse
""")


def _changed(sentence: str, changes: dict[str, str]) -> str:
    """Word for word, with the full stop left where it is."""
    return " ".join(changes.get(word, word) for word in sentence.removesuffix(".").split()) + "."


def _questions(sentence: str, changes: list[dict[str, str]], family: str) -> list[Question]:
    questions = []
    for change in changes:
        asked = " and ".join(f"{old} to {new}" for old, new in change.items())
        questions.append(Question(f"Change {asked}: {sentence} ->", _changed(sentence, change), family=family))
    return questions


def rows(random: Random) -> list[Row]:
    """Each sentence has its name, a word in the middle, its last noun, and finally two of these changed."""
    questions = []
    for number, (frame, middle, last) in enumerate(SENTENCES):
        name, other = random.sample(NAMES, 2)
        first = {name: other}
        second, third = (dict([pair.split()]) for pair in (middle, last))
        two = first | (second, third)[number % 2]
        questions += _questions(frame.format(name), [first, second, third, two], frame)
    return target_rows(questions, random)
