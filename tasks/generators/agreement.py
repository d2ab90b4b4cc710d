"""Subject-verb agreement across a noun of the other number."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, shuffled, table

# head, singular | head, plural | link | noun in between, singular | the same, plural
FRAMES = table("""
key | keys | to the | cabinet | cabinets
label | labels | on the | bottle | bottles
door | doors | of the | cottage | cottages
picture | pictures | of the | dancer | dancers
road | roads | to the | village | villages
letter | letters | from the | lawyer | lawyers
window | windows | above the | shop | shops
price | prices | of the | ticket | tickets
author | authors | of the | novel | novels
bridge | bridges | over the | canal | canals
lamp | lamps | beside the | chair | chairs
guard | guards | outside the | palace | palaces
button | buttons | on the | jacket | jackets
cat | cats | under the | table | tables
flower | flowers | in the | vase | vases
answer | answers | to the | riddle | riddles
teacher | teachers | of the | girl | girls
path | paths | through the | forest | forests
report | reports | about the | accident | accidents
owner | owners | of the | horse | horses
boat | boats | near the | island | islands
shelf | shelves | behind the | counter | counters
wheel | wheels | of the | wagon | wagons
sign | signs | along the | fence | fences
friend | friends | of the | painter | painters
box | boxes | beneath the | bed | beds
roof | roofs | of the | barn | barns
story | stories | about the | pirate | pirates
tower | towers | beyond the | hill | hills
player | players | behind the | coach | coaches
drawer | drawers | of the | desk | desks
nurse | nurses | with the | patient | patients
map | maps | of the | city | cities
branch | branches | above the | roof | roofs
leader | leaders | of the | band | bands
tree | trees | between the | house and the garage | houses and the garages
cup | cups | next to the | plate | plates
plan | plans | for the | garden | gardens
child | children | with the | balloon | balloons
farmer | farmers | behind the | tractor | tractors
book | books | that the | student borrowed | students borrowed
song | songs | that the | singer wrote | singers wrote
car | cars | that the | mechanic repaired | mechanics repaired
cake | cakes | that the | baker made | bakers made
dog | dogs | that the | boy washed | boys washed
question | questions | that the | judge asked | judges asked
tourist | tourists | that the | guide met | guides met
painting | paintings | that the | museum bought | museums bought
mistake | mistakes | that the | clerk found | clerks found
goat | goats | that the | wolf chased | wolves chased
house | houses | that the | builder sold | builders sold
photo | photos | that the | reporter took | reporters took
coat | coats | that the | tailor mended | tailors mended
rumor | rumors | that the | neighbor heard | neighbors heard
""")

VERBS = (("is", "are"), ("was", "were"), ("has", "have"), ("seems", "seem"), ("looks", "look"))
# A subject whose verb is singular and its twin whose verb is plural. {S} and {P} are the head's two numbers, {of_many}
# and {of_one} add the noun in between, {s} and {p} are the head of another frame.
PLAIN = ("The {S} {of_many}", "The {P} {of_one}")
TWISTS = (
    ("As far as I know, the {S} {of_many}", "As far as I know, the {P} {of_one}"),
    ("One of the {P} {of_many}", "Both of the {P} {of_one}"),
    ("The {S} but not the {p}", "The {P} but not the {s}"),
    ("Each {S} {of_many}", "Most {P} {of_one}"),
    ("Nobody who knows about the {P}", "People who know about the {S}"),
    ("The {S} together with the {p}", "Together the {S} and the {s}"),
    ("She told me that every {S} {of_many}", "She told me that all {P} {of_one}"),
    ("Unlike the {P}, the {s}", "Unlike the {S}, the {p}"),
    ("The {S}, like the {p},", "The {P}, like the {s},"),
)


def _questions(number: int, frame: list[str], other: list[str]) -> list[Question]:
    """The plain pair of subjects and a twisted pair, with two different verbs."""
    singular, plural, link, one, many = frame
    words = {"S": singular, "P": plural, "of_many": f"{link} {many}", "of_one": f"{link} {one}"}
    questions = []
    for shift, subjects in enumerate((PLAIN, TWISTS[number % len(TWISTS)])):
        verbs = VERBS[(number + number // len(VERBS) + shift) % len(VERBS)]
        for subject, right, wrong in zip(subjects, verbs, verbs[::-1], strict=True):
            context = subject.format(s=other[0], p=other[1], **words)
            questions.append(Question(context, right, (wrong,), family=singular))
    return questions


def rows(random: Random) -> list[Row]:
    others = shuffled(FRAMES, random)
    questions = []
    for number, frame in enumerate(FRAMES):
        other = others[number] if others[number] != frame else others[number - 1]
        questions += _questions(number, frame, other)
    return choice_rows(questions, random)
