"""Rare long words of many sub-word pieces, chosen by their meaning: most scored tokens continue a word."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, others, table

# Words of a group fit the same sentence and take the same article: word | a context | another context
GROUPS = tuple(
    table(group)
    for group in """
gastroenterologist | A doctor who treats the stomach is a | For his stomach pains he saw a
pulmonologist | A doctor who treats the lungs is a | For her sick lungs she saw a
rheumatologist | A doctor who treats stiff, swollen joints is a | With her aching joints she went to a
neurosurgeon | A doctor who operates on the brain is a | The brain tumor was removed by a
podiatrist | A doctor who treats the feet is a | For the pain in his foot he saw a
neonatologist | A doctor who treats newborn babies is a | The tiny newborn was cared for by a

ichthyologist | A scientist who studies fish is an | New kinds of fish were named by an
ornithologist | A scientist who studies birds is an | She counts rare birds because she is an
arachnologist | A scientist who studies spiders is an | His house is full of spiders, for he is an
astrobiologist | A scientist who looks for life on other planets is an | The hunt for life on Mars is led by an
anesthesiologist | A doctor who puts patients to sleep is an | Before surgery she was put to sleep by an
endocrinologist | A doctor who treats hormones is an | About his hormones he asked an

seismologist | A scientist who studies earthquakes is a | The earthquake was measured by a
volcanologist | A scientist who studies lava and eruptions is a | On the smoking crater stood a
herpetologist | A scientist who studies snakes and lizards is a | The snakes were examined by a
glaciologist | A scientist who studies ice sheets is a | On the frozen ice sheet stood a
criminologist | A scientist who studies crime is a | The reasons for the murders were explained by a
primatologist | A scientist who studies apes and monkeys is a | For years the gorillas were watched by a

claustrophobia | The fear of tight, closed spaces is called | She avoids elevators because of her
arachnophobia | The fear of spiders is called | He screams at spiders because of his
agoraphobia | The fear of open places and crowds is called | She never leaves the house because of her
acrophobia | The fear of heights is called | He never climbs ladders because of his
pyrophobia | The fear of fire is called | She never lights a match because of her
triskaidekaphobia | The fear of the number thirteen is called | He never rents room thirteen because of his

barometer | To measure the air pressure, use a | Is the air pressure falling? Read the
speedometer | To measure how fast a car goes, use a | Is the car going too fast? Read the
pedometer | To count the steps you walk, use a | How many steps did we walk? Read the
hygrometer | To measure how damp the air is, use a | Is the air humid? Read the
sphygmomanometer | To measure blood pressure, use a | Is the patient's blood pressure high? Read the
tachometer | To measure how fast an engine turns, use a | How fast does the engine turn? Read the

stethoscope | The doctor listened to my chest with a | Around the doctor's neck hung a
periscope | The submarine watched the ship through a | From under the water the crew looked through a
kaleidoscope | The child watched colored patterns turning in a | Bits of colored glass and mirrors make a
gyroscope | The spinning wheel that keeps a plane steady is a | Balanced by its fast spin is a
stroboscope | The lamp that flashes many times a second is a | The flashing light on the dance floor was a
laryngoscope | To look down a patient's throat, use a | The doctor looked at my throat through a

appendicitis | His appendix was swollen: it was | The surgeon took out her appendix because of
laryngitis | The singer lost her voice: it was | He could not speak above a whisper because of
tonsillitis | His tonsils were red and swollen: it was | She had her tonsils out because of
phlebitis | A vein in his leg was sore: it was | The vein was red and painful because of
gastroenteritis | Her stomach was upset by bad food: it was | He threw up all night because of
tendinitis | Too much tennis hurt his tendon: it was | She rested her sore tendon because of

pentagon | A shape with five sides is called a | Five straight lines make a
heptagon | A shape with seven sides is called a | Seven straight lines make a
parallelogram | A slanted shape with two pairs of equal sides is called a | Push a rectangle sideways and you get a
semicircle | One half of a round disc is called a | Cut a round pizza in two and each part is a
tetrahedron | A solid with four triangular faces is called a | Four triangles folded together make a
dodecahedron | A solid with twelve faces is called a | Twelve flat faces folded together make a

theocracy | Rule by priests is called | A country governed by priests is a
plutocracy | Rule by the rich is called | A country run by its millionaires is a
kleptocracy | Rule by thieves is called | A country whose leaders steal everything is a
gerontocracy | Rule by the very old is called | A country whose ministers are all past ninety is a
matriarchy | Rule by mothers and women is called | A tribe led by its oldest woman is a
technocracy | Rule by engineers and experts is called | A country run by engineers is a

hippopotamus | The fat animal that lies in African rivers all day is the | In the muddy river yawned the
porcupine | The animal covered with long sharp quills is the | The dog got quills in its nose from the
wolverine | The fierce northern hunter like a small bear is the | Fearless and bigger than a weasel is the
wildebeest | The African antelope that moves in huge herds is the | Across the Serengeti in their thousands go herds of
chinchilla | The little rodent with the softest fur is the | In the rodent's cage, soft as silk, sat the
mongoose | The small animal that kills cobras is the | The cobra was killed by the

cormorant | The black sea bird that dives for fish is the | On the rock, drying its black wings, stood the
cockatoo | The white parrot with a crest is the | On the sailor's shoulder, crest raised, sat the
albatross | The great white bird that glides over the ocean is the | For days the ship was followed by an enormous
kingfisher | The small blue bird that dives into streams is the | Into the stream, blue as a jewel, dived the
hummingbird | The tiny bird that hovers at flowers is the | Sipping nectar, its wings a blur, hovered the
woodpecker | The bird that hammers holes in trees is the | Hammering on the dead tree was the

velociraptor | The quick little hunter among the dinosaurs was the | Fast and clever, with a claw like a sickle, was the
triceratops | The dinosaur with three horns was the | Behind its three horns and bony frill hid the
stegosaurus | The dinosaur with plates along its back was the | Large bony plates stood on the back of the
pterodactyl | The flying reptile of the dinosaur age was the | On leathery wings over the cliffs flew the
brontosaurus | The giant dinosaur with a very long neck was the | Eating leaves with its long neck stood the
plesiosaur | The swimming reptile of the ancient seas was the | With four flippers through the ancient sea swam the

harpsichord | The old keyboard instrument before the piano is the | Bach sat down at the keys of his
glockenspiel | The instrument with little metal bars is the | With two sticks she struck the metal bars of her
tambourine | The instrument that you shake to make it jingle is the | The dancer shook her jingling
didgeridoo | The long wooden pipe from Australia is the | The old Australian took a breath and blew his
bagpipes | The Scottish instrument with a bag is called the | The Scotsman in the kilt blew his
kettledrum | The big copper instrument that is beaten is the | At the back of the orchestra he beat his

trampoline | The children bounced up and down on the | High into the air they jumped on the
chandelier | High above the ballroom sparkled the | A hundred candles burned on the
wheelbarrow | The gardener moves soil with the | He pushed the load of bricks in the
corkscrew | To open the bottle of wine, use the | We had red wine, but nobody could find the
mousetrap | To catch the mouse, put cheese in the | In the morning a dead mouse lay in the
hairdryer | To dry wet hair, use the | Her hair was still wet, so she switched on the

ratatouille | The French stew of eggplant and tomato is called | She cut eggplant and peppers for the
sauerkraut | Cabbage that has been left to ferment is called | With the German sausage came a heap of
guacamole | The green dip made from avocado is called | She mashed three avocados for the
marmalade | The jam made from oranges is called | He boiled oranges and sugar to make
tiramisu | The Italian dessert with coffee and mascarpone is called | For dessert the Italian waiter brought coffee and
minestrone | The thick Italian vegetable soup is called | The Italian cook ladled out bowls of hot

ventriloquist | A man who makes a puppet talk is a | The puppet on his knee spoke, for he was a
contortionist | A performer who can bend her body into a knot is a | She put both feet behind her head, for she was a
sharpshooter | A soldier who never misses his target is a | He hit the coin with one bullet, for he was a
pickpocket | A thief who takes purses from coats is a | In the crowd my purse was stolen by a
gravedigger | A man who digs holes at the cemetery is a | In the cemetery, with his shovel, stood a
glassblower | A man who makes bottles with his breath is a | With a long pipe, the bottle was shaped by a

narcolepsy | The illness of falling asleep all the time is called | He falls asleep at his desk because of his
kleptomania | The urge to steal things is called | She steals spoons without needing them because of her
pyromania | The urge to set things on fire is called | He sets barns on fire because of his
hypochondria | The habit of imagining that one is ill is called | She always thinks she is dying because of her
megalomania | The belief that one is all-powerful is called | The dictator built giant statues of himself out of
nearsightedness | Being unable to see far is called | She wears glasses for distance because of her

chrysanthemum | The many-petaled autumn flower of Japan is the | On the seal of Japan's emperor is the
honeysuckle | The sweet-smelling climber loved by bees is the | Over the fence, full of sweet nectar, climbed the
snapdragon | The flower that opens like a mouth is the | Squeeze it and its mouth opens: that is the
hydrangea | The shrub with big balls of blue or pink flowers is the | With big blue balls of flowers bloomed the
bougainvillea | The purple climber on hot southern walls is the | On the white walls of the Greek village climbed the
dandelion | The weed with yellow flowers and fluffy seeds is the | She blew the fluffy seeds off the
""".strip().split("\n\n")
)


def rows(random: Random) -> list[Row]:
    questions = []
    for group in GROUPS:
        words = [word for word, _, _ in group]
        for word, *contexts in group:
            questions += [Question(c, word, others(words, word, 2, random), family=word) for c in contexts]
    return choice_rows(questions, random)
