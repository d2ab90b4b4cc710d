"""Facts about the world: capitals, languages, books, elements, landmarks, creatures and calendars."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, others, table

CAPITALS = table("""
France | Paris
Japan | Tokyo
Egypt | Cairo
Italy | Rome
Spain | Madrid
Germany | Berlin
Russia | Moscow
China | Beijing
Greece | Athens
Austria | Vienna
Portugal | Lisbon
Poland | Warsaw
Ireland | Dublin
Norway | Oslo
Sweden | Stockholm
Finland | Helsinki
Denmark | Copenhagen
Hungary | Budapest
Cuba | Havana
Peru | Lima
Chile | Santiago
Kenya | Nairobi
Canada | Ottawa
Thailand | Bangkok
Iran | Tehran
Iraq | Baghdad
Turkey | Ankara
Belgium | Brussels
Scotland | Edinburgh
Lebanon | Beirut
Syria | Damascus
Cambodia | Phnom Penh
Vietnam | Hanoi
Colombia | Bogota
Argentina | Buenos Aires
Ethiopia | Addis Ababa
""")
CAPITAL_TEMPLATES = ("The capital of {0} is", "{0}'s capital city is", "The government of {0} sits in")
COUNTRY_TEMPLATES = ("{1} is the capital of", "The city of {1} is the capital of")

# how the relation is asked | what is asked about | the answer
RELATIONS = {
    "The country of {} lies in": table("""
Nigeria | Africa
Mongolia | Asia
Bulgaria | Europe
Brazil | South America
Ghana | Africa
Nepal | Asia
Switzerland | Europe
Bolivia | South America
Zambia | Africa
Laos | Asia
Slovenia | Europe
Uruguay | South America
Morocco | Africa
Pakistan | Asia
Romania | Europe
Paraguay | South America
Uganda | Africa
Malaysia | Asia
Iceland | Europe
Ecuador | South America
"""),
    "Most people who live in {} speak": table("""
Rio de Janeiro | Portuguese
Mexico City | Spanish
Vienna | German
Marseille | French
Naples | Italian
Osaka | Japanese
Shanghai | Chinese
Saint Petersburg | Russian
Gothenburg | Swedish
Krakow | Polish
Alexandria | Arabic
Seoul | Korean
Melbourne | English
Rotterdam | Dutch
Thessaloniki | Greek
"""),
    "The money used in {} is called the": table("""
Japan | yen
India | rupee
Russia | ruble
the United States | dollar
Britain | pound
Mexico | peso
Germany | euro
China | yuan
Switzerland | franc
Brazil | real
Israel | shekel
Sweden | krona
"""),
    "The author of {} is": table("""
Hamlet | William Shakespeare
War and Peace | Leo Tolstoy
Oliver Twist | Charles Dickens
Pride and Prejudice | Jane Austen
Don Quixote | Miguel de Cervantes
The Odyssey | Homer
Faust | Johann Goethe
Moby Dick | Herman Melville
The Trial | Franz Kafka
Les Miserables | Victor Hugo
Tom Sawyer | Mark Twain
Crime and Punishment | Fyodor Dostoevsky
The Hobbit | J. R. R. Tolkien
Animal Farm | George Orwell
The Divine Comedy | Dante
Frankenstein | Mary Shelley
Dracula | Bram Stoker
Peter Pan | J. M. Barrie
"""),
    "The chemical symbol for {} is": table("""
gold | Au
silver | Ag
iron | Fe
sodium | Na
lead | Pb
copper | Cu
helium | He
calcium | Ca
potassium | K
oxygen | O
carbon | C
hydrogen | H
nitrogen | N
mercury | Hg
"""),
    "Travelers who want to see {} go to": table("""
the Eiffel Tower | Paris
the Colosseum | Rome
Big Ben | London
the Kremlin | Moscow
the Statue of Liberty | New York
the Golden Gate Bridge | San Francisco
the Brandenburg Gate | Berlin
the Acropolis | Athens
the White House | Washington
the Forbidden City | Beijing
the Sagrada Familia | Barcelona
the Opera House by the harbor | Sydney
the Little Mermaid | Copenhagen
the Blue Mosque | Istanbul
Hollywood | Los Angeles
the Rialto Bridge | Venice
"""),
    "The river {} flows through": table("""
Thames | London
Seine | Paris
Tiber | Rome
Nile | Egypt
Ganges | India
Amazon | Brazil
Volga | Russia
Yangtze | China
Mississippi | Louisiana
Hudson | New York
"""),
    "In the calendar, {} comes right before": table("""
January | February
March | April
April | May
June | July
August | September
October | November
November | December
Monday | Tuesday
Tuesday | Wednesday
Thursday | Friday
Friday | Saturday
Saturday | Sunday
"""),
    "{} was a famous": table("""
Mozart | composer
Picasso | painter
Newton | physicist
Napoleon | general
Plato | philosopher
Shakespeare | playwright
Columbus | explorer
Michelangelo | sculptor
Cleopatra | queen
Darwin | naturalist
Houdini | magician
Pele | footballer
Nightingale | nurse
Caruso | singer
"""),
    "The part of the body that we use to {} is the": table("""
smell | nose
hear | ear
see | eye
taste | tongue
pump blood | heart
breathe | lungs
think | brain
chew | jaw
grasp things | hand
walk | foot
digest food | stomach
clean the blood | kidney
"""),
    "The planet known for {} is": table("""
its great rings | Saturn
its red dust | Mars
its oceans and forests | Earth
being closest to the sun | Mercury
its Great Red Spot | Jupiter
being farthest from the sun | Neptune
its thick hot clouds of acid | Venus
rolling around the sun on its side | Uranus
"""),
}


def _capitals(random: Random) -> list[Question]:
    capitals = [capital for _, capital in CAPITALS]
    countries = [country for country, _ in CAPITALS]
    questions = []
    for number, (country, capital) in enumerate(CAPITALS):
        ask = CAPITAL_TEMPLATES[number % 3].format(country, capital)
        questions.append(Question(ask, capital, others(capitals, capital, 3, random), family=country))
        ask = COUNTRY_TEMPLATES[number % 2].format(country, capital)
        questions.append(Question(ask, country, others(countries, country, 3, random), family=country))
    return questions


def _relation(template: str, pairs: list[list[str]], random: Random) -> list[Question]:
    answers = [answer for _, answer in pairs]
    return [
        Question(template.format(asked), answer, others(answers, answer, 3, random), family=f"{template}{asked}")
        for asked, answer in pairs
    ]


def rows(random: Random) -> list[Row]:
    questions = _capitals(random)
    for template, pairs in RELATIONS.items():
        questions += _relation(template, pairs, random)
    return choice_rows(questions, random)
