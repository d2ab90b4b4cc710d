"""The last word of a passage, which the passage itself has named."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, table, target_rows

# the passage, with {} for the word to be found again | the words
FRAMES = table("""
Nora lost her {} at the beach. She dug in the sand for an hour before she found the | ring, watch, key, phone
Two men carried a {} up the stairs. On the third floor they stopped and put down the | piano, sofa, mirror, desk
My uncle keeps a {} in the garden. Every morning before breakfast he feeds the | goat, horse, pig, rabbit
The {} in our kitchen had stopped working, so Dad called a man to come and fix the | oven, clock, radio, sink
She wanted to paint the {}, but when she opened her bag there was no paper to draw the | bridge, castle, lake, church
A {} flew in through the open window. It took us all afternoon to catch the | bat, pigeon, parrot, butterfly
He had baked a {} for the party. His sister took one look and cut a slice of the | cake, pie, pizza, loaf
They say a {} sleeps in that cave. Nobody in the village has ever seen the | dragon, bear, witch, wolf
Grandma sent me a {} for my birthday. I wrote back at once to thank her for the | book, scarf, camera, sweater
The farmer bought a {} last spring. By autumn he wished that he had never seen the | tractor, mule, plow, bull
We hired a {} to cross the bay. When the wind rose we had to turn back the | boat, canoe, ferry, yacht
A tall {} stood in the middle of the square, and children liked to play around the | statue, tree, tower, fountain
Please do not touch the {}. Last week somebody spent a whole day cleaning the | glass, carpet, wall, statue
The thief put the {} in his coat and ran, but the police soon found both him and the | painting, money, jewels, crown
Before the {} was built, people had to walk for hours. Now nobody could live without the | road, bridge, railway, tunnel
A letter came for the {}. The postman left it on the steps, where it was found by the | teacher, doctor, priest, captain
The {} barked orders at everyone, and by noon the whole crew was tired of the | captain, boss, cook, sergeant
Every night the {} made a strange noise. In the end we took the batteries out of the | toy, clock, doll, radio
Mr. Lee has repaired every {} in this town. If yours is broken, bring him the | bicycle, shoe, guitar, lamp
Lightning struck the {} at midnight. At dawn people came to see what was left of the | barn, tree, mill, tower
The girl climbed onto the {} and waved. Her mother shouted that she must come down from the | roof, wall, ladder, truck
I have never liked the {} that hangs in the hall. Would anyone mind if I took down the | picture, mirror, flag, lamp
The cook tasted the {} and frowned. He added more salt and then again tried the | soup, sauce, stew, rice
At the zoo my son wanted to see only one animal, the {}. All day he talked about the | lion, elephant, penguin, giraffe
Someone had left a {} on the train. The guard waited a month, and then he kept the | hat, coat, suitcase, violin
The king loved his {} more than his people. One night the people came and took the | gold, horse, garden, crown
Rain had filled the {} with water. We needed a bucket to empty the | boat, cellar, barrel, hole
First wash the {} and then peel it. When the water boils, drop in the | potato, carrot, onion, apple
The judge read the {} twice. He took off his glasses and refused to accept the | letter, contract, report, plan
Her {} hurt so badly that she could not sleep. In the morning a doctor looked at the | tooth, knee, back, foot
A {} blocked the road after the storm. It took ten men with ropes to move the | tree, rock, truck, bus
When the {} rang, the whole class jumped up. Nobody was supposed to leave before the | bell, alarm, phone, buzzer
He polished the {} until it shone. Nobody was ever allowed to touch the | sword, silver, trumpet, shield
The museum has a new {} from Greece. Thousands of people stood in line to see the | statue, coin, vase, mask
Our team lost the {}, although we had trained all winter. Nobody felt like talking about the | game, match, race, final
The pilot looked for a {} on which to land. At last, far to the north, she saw a | field, road, beach, lake
The shop sells every kind of {}, but it is hard to find anyone who still buys a | hat, pipe, candle, typewriter
There was a {} in my soup! The waiter said sorry and took away the soup with the | fly, hair, spider, bug
The {} had no lock, so he pushed a heavy chair against the | door, gate, window, shed
Tom's {} was stolen on Monday. On Friday a woman called to say that she had found the | bike, wallet, car, laptop
A {} is useful in the mountains. When I went hiking without one, I really missed my | map, knife, rope, compass
The children built a {} out of old boxes. When it rained, nothing was left of the | castle, house, robot, ship
She never travels without her {}. On the way to Spain she even slept with the | pillow, teddy, cat, diary
There is only one {} left on the plate. We tossed a coin to see who would eat the | cookie, sausage, pancake, egg
The tailor had promised to finish the {} by noon. At four he was still sewing the | dress, suit, shirt, jacket
From the hotel you can see the {}. After lunch we took our cameras and walked to the | sea, volcano, castle, harbor
The old {} would not start. Three of us got out and pushed the | car, van, bus, truck
Our neighbor plays the {} all night long. I wish that someone would hide his | drums, trumpet, flute, guitar
The king offered gold to anyone who killed the {}. Many knights rode out to fight the | dragon, giant, monster, beast
He filled in the {} in blue ink. The clerk wanted black ink and tore up the | form, check, card, page
There was a hole in the {}. Mother took needle and thread and mended the | sock, pocket, curtain, glove
A small {} grew between the stones. Each day the prisoner shared his water with the | flower, tree, rose, plant
They argued about the price of the {}. At sunset they shook hands and he led away the | camel, cow, donkey, horse
After ten years the {} came home. Nobody in the street recognized the | soldier, sailor, singer, painter
""")


def rows(random: Random) -> list[Row]:
    questions = [
        Question(passage.format(word), word, family=passage) for passage, words in FRAMES for word in words.split(", ")
    ]
    return target_rows(questions, random)
