"""What kind of thing something is, asked from the member to the kind and from the kind to a member."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, others, shuffled

# realm: kind: members. Wrong choices come from the same realm, so they are near.
REALMS = {
    "animals": {
        "fish": "trout salmon tuna herring cod carp pike sardine eel haddock mackerel perch",
        "bird": "sparrow eagle robin owl crow pigeon swallow heron parrot finch gull raven",
        "insect": "beetle ant wasp moth mosquito cricket grasshopper bee butterfly cockroach flea termite",
        "reptile": "lizard turtle crocodile python gecko iguana alligator cobra viper tortoise chameleon rattlesnake",
    },
    "plants": {
        "fruit": "strawberry melon grape pineapple raspberry blueberry blackberry currant papaya guava cranberry kiwi",
        "vegetable": "carrot cabbage onion turnip cucumber potato parsnip leek cauliflower artichoke radish beetroot",
        "flower": "rose tulip daisy lily daffodil violet orchid poppy carnation marigold iris sunflower",
        "tree": "oak pine maple birch willow elm cedar beech spruce fir poplar chestnut",
    },
    "things": {
        "tool": "hammer saw wrench drill shovel screwdriver chisel axe rake pliers spade crowbar",
        "instrument": "violin flute trumpet harp cello drum piano clarinet guitar oboe trombone banjo",
        "vehicle": "truck bus tram bicycle van taxi tractor motorcycle wagon ambulance scooter car",
        "furniture": "sofa wardrobe bookcase bench stool cupboard desk armchair bed dresser couch cabinet",
        "dance": "waltz tango polka samba quickstep rumba foxtrot jive bolero minuet mambo gavotte",
        "clothing": "shirt sweater jacket skirt coat scarf vest blouse hat glove sock dress",
    },
    "matter": {
        "metal": "iron copper silver tin lead zinc aluminum nickel gold platinum titanium steel",
        "drink": "tea coffee milk lemonade beer wine cocoa cider juice whiskey champagne soda",
        "sport": "tennis hockey soccer golf rugby boxing swimming baseball cricket badminton wrestling volleyball",
        "fabric": "cotton silk wool linen velvet denim satin lace nylon polyester flannel canvas",
    },
}
TO_KIND = (
    "{A} {m} is a kind of",
    "The {m} is a type of",
    "My niece asked what {a} {m} is. It is some kind of",
    "In the picture book, the {m} was shown as a kind of",
)
TO_KIND_MASS = (
    "{M} is a kind of",
    "Most people would call {m} a type of",
    "My niece asked what {m} is. It is some kind of",
    "In the word list, {m} was filed as a kind of",
)
TO_MEMBER = (
    "One kind of {k} is{the}",
    "A good example of {a_k} is{the}",
    "Asked to name some kind of {k}, the boy said{the}",
    "Told to choose {a_k}, she chose{the}",
    "Among the words on the card, the only {k} was{the}",
    "When people talk about {a_k}, I think of{the}",
)
BARE_MEMBERS = {"metal", "drink", "sport", "fabric"}
BARE_KINDS = {"furniture", "clothing"}


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _ask_kind(member: str, kind: str, kinds: dict[str, str], number: int, random: Random) -> Question:
    templates = TO_KIND_MASS if kind in BARE_MEMBERS else TO_KIND
    a = _article(member)
    context = templates[number % len(templates)].format(m=member, M=member.capitalize(), a=a, A=a.capitalize())
    return Question(context, kind, others(kinds, kind, 2, random))


def _ask_member(member: str, kind: str, kinds: dict[str, str], number: int, random: Random) -> Question:
    """The wrong members are of two other kinds that take the same article."""
    siblings = [other for other in kinds if (other in BARE_MEMBERS) == (kind in BARE_MEMBERS)]
    wrong = [random.choice(kinds[other].split()) for other in others(siblings, kind, 2, random)]
    the = "" if kind in BARE_MEMBERS else " the"
    a_kind = kind if kind in BARE_KINDS else f"{_article(kind)} {kind}"
    context = TO_MEMBER[number % len(TO_MEMBER)].format(k=kind, a_k=a_kind, the=the)
    return Question(context, member, tuple(wrong), family=f"{kind}: {member}")


def _realm(kinds: dict[str, str], random: Random) -> list[Question]:
    questions = []
    for kind, members in kinds.items():
        for number, member in enumerate(shuffled(members.split(), random)):
            ask = _ask_kind if number % 2 else _ask_member
            questions.append(ask(member, kind, kinds, number // 2, random))
    return questions


def rows(random: Random) -> list[Row]:
    questions = [question for kinds in REALMS.values() for question in _realm(kinds, random)]
    return choice_rows(questions, random)
