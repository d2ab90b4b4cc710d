"""Common-sense endings. Two contexts share their two endings, so neither ending is likelier on its own."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import Question, Row, choice_rows, table

# a context | its ending | another context | the other ending
TWINS = table("""
It was raining hard, so she | opened her umbrella | The sun was far too bright, so she | put on her sunglasses
The soup was too hot, so he | blew on it | The soup had gone cold, so he | heated it up
The baby was hungry, so we | warmed some milk | The baby was dirty, so we | ran a bath
He was thirsty and | drank some water | He was hungry and | ate some bread
The room was dark, so Ann | lit a candle | The room was cold, so Ann | made a fire
His shoes were dirty, so he | cleaned them | His shoes were too small, so he | bought new ones
The phone rang, and Carl | answered it | The phone broke, and Carl | had it repaired
The dog was happy and | wagged its tail | The dog was angry and | showed its teeth
Her tooth ached, so she saw | a dentist | Her eyes were weak, so she saw | an optician
The grass was too long, so Dad | mowed it | The grass was too dry, so Dad | watered it
To cut the rope, he used | a sharp knife | To tie the boat, he used | a strong rope
The bus was full, so I had to | stand | The bus was empty, so I could | sit down
The movie was so sad that she | cried | The movie was so funny that she | laughed
The test was easy, so the class | finished early | The test was hard, so the class | needed more time
She missed the train, so she arrived | late | She took an earlier train, so she arrived | early
He wanted to write a letter, so he took | a pen | He wanted to sweep the floor, so he took | a broom
They heard thunder and | went inside | They heard music and | began to dance
The milk smelled sour, so I | poured it away | The milk smelled fresh, so I | drank it
The bag was very heavy, so she | asked for help | The bag was quite light, so she | carried it alone
Because he was tired, he went to | bed | Because he was ill, he went to | the doctor
The knife was dull, so the cook | sharpened it | The plate was dirty, so the cook | washed it
The lake was frozen, so the children went | skating | The lake was warm, so the children went | swimming
The wind blew hard, and the sailors | took down the sails | The wind died away, and the sailors | started to row
The battery was empty, so he | charged it | The glass was empty, so he | filled it
The door was locked, so she looked for | the key | The room was dark, so she looked for | the light switch
The cat saw a mouse and | chased it | The cat saw a big dog and | ran away
He forgot her birthday, so she was | angry | He remembered her birthday, so she was | pleased
The house was on fire, so they called | the firemen | The house was robbed, so they called | the police
His hair had grown too long, so he went to | the barber | His bread was all gone, so he went to | the baker
The plants looked dry, so Eve | watered them | The plants looked ripe, so Eve | picked them
It was her wedding day, and she wore | a white dress | It was freezing outside, and she wore | a thick coat
The story was boring, and the listeners | fell asleep | The speech was great, and the listeners | clapped loudly
The boy told a lie, so his father | punished him | The boy won a prize, so his father | praised him
The road was icy, so the driver | slowed down | The road was clear, so the driver | sped up
The light turned red, and the cars | stopped | The light turned green, and the cars | moved on
She cut her finger, so she needed | a bandage | She had a cold, so she needed | a handkerchief
He wanted to see the stars, so he bought | a telescope | He wanted to catch fish, so he bought | a net
To hang the picture, use a nail and | a hammer | To mend the shirt, use a thread and | a needle
The store was closed, so we | went home | The store was open, so we | went in
He lost the match and was | disappointed | He won the match and was | overjoyed
It was early morning, and the sun | was rising | It was late evening, and the sun | was setting
The bread came out of the oven and was | hot | The fish came out of the freezer and was | cold
She was afraid of heights, so she never | climbed towers | She was afraid of water, so she never | went swimming
The coffee was bitter, so I added | some sugar | The stew was bland, so I added | some salt
At the library you must be | quiet | At the crossing you must be | careful
The child was lost and began | to cry | The child was tired and began | to yawn
After running ten miles he had | sore legs | After talking all day he had | a sore throat
The window was broken, so rain | came in | The window was shut, so rain | stayed out
The tire was flat, so they | changed it | The tank was empty, so they | bought fuel
She was early for the meeting, so she | had to wait | She was late for the meeting, so she | had to hurry
The beach was hot, so he sat in | the shade | The cabin was cold, so he sat by | the stove
We were lost, so we looked at | the map | We were hungry, so we looked at | the menu
The painter dipped his brush into | the paint | The writer dipped his pen into | the ink
In the bakery you can smell | fresh bread | In the garden you can smell | roses
The hen sat on | her eggs | The queen sat on | her throne
The fisherman came home with | two big fish | The hunter came home with | a deer
In winter the bears | sleep | In spring the flowers | bloom
When the show was over, the crowd | left | When the gates opened, the crowd | rushed in
The ship hit a rock and | sank | The plane hit a storm and | shook
The ice stood in the sun and | melted | The bread stood in the oven and | burned
The glass fell to the floor and | shattered | The ball fell to the floor and | bounced
When he heard the joke, he | laughed | When he saw the ghost, he | screamed
The thief saw the policeman and | ran | The boy saw his grandmother and | smiled
At the end of the song, everyone | clapped | At the end of the prayer, everyone | said amen
To stay dry, take | a raincoat | To stay warm, take | a blanket
She put the letter into | an envelope | She put the flowers into | a vase
He put the money into | his wallet | He put the dishes into | the sink
The surgeon washed | his hands | The mechanic repaired | the engine
The farmer milked | the cows | The shepherd counted | the sheep
The referee blew | his whistle | The knight drew | his sword
The king wore | a golden crown | The clown wore | a red nose
Before you cross the street, look | both ways | Before you jump in the water, look | for rocks
Her flight leaves at six, so she must go to | the airport | Her class starts at nine, so she must go to | school
He is allergic to nuts, so he never eats | almonds | He is allergic to dairy, so he never eats | cheese
The kettle whistled because the water | was boiling | The pipe cracked because the water | had frozen
The baby fell asleep, so everyone | whispered | The team scored a goal, so everyone | cheered
He wore gloves because his hands | were cold | He wore sandals because his feet | were hot
We could not see the road because of | the fog | We could not cross the river because of | the flood
The tea was too strong, so she added | more water | The tea was too weak, so she added | another bag
They moved to a bigger house because they had | twins | They moved to a cheaper house because they had | debts
He could not pay because he had lost | his purse | He could not read because he had lost | his glasses
She opened the window to let in | some air | She opened the gate to let in | the car
The vampire was afraid of | the sunlight | The mouse was afraid of | the cat
At the funeral people wore | black | At the wedding the bride wore | white
The desert is | hot and dry | The jungle is | hot and wet
Babies cannot | walk yet | Fish cannot | live on land
The carpenter measured | the board | The nurse measured | the fever
The student failed because he had not | studied | The runner failed because he had not | trained
He knocked on the door, but nobody | opened it | He asked a question, but nobody | answered it
The cup was full to the brim, so she carried it | slowly | The house was on fire, so she left it | quickly
When the alarm rang, Joe | got up | When the movie ended, Joe | went home
The nest was high up in | a tree | The den was deep down in | a cave
The horse was fed with | hay | The baby was fed with | milk
A spider spins | a web | A bird builds | a nest
She peeled the banana and | ate it | She addressed the letter and | mailed it
The judge sent the murderer | to prison | The teacher sent the sick girl | home
He drank too much wine and got | drunk | He lay too long in the sun and got | burned
If you plant a seed, it will | grow | If you drop a stone, it will | fall
If you heat butter, it will | melt | If you heat water, it will | boil
My watch had stopped, so I asked a man | for the time | My car had stopped, so I asked a man | for a push
The elevator was broken, so we took | the stairs | The bridge was closed, so we took | the ferry
The trip was long, so we brought | a lot of food | The night was dark, so we brought | a flashlight
The parrot could | talk | The kangaroo could | jump
The wool came from | a sheep | The honey came from | the bees
The sick man took | his medicine | The proud man took | the credit
Her guests arrived, so she | greeted them | Her guests stayed too late, so she | sent them home
The candle went out because of | the wind | The crops died because of | the drought
He was fired because he was always | late | He was promoted because he was always | reliable
""")


def rows(random: Random) -> list[Row]:
    questions = []
    for here, ending, there, other in TWINS:
        questions.append(Question(here, ending, (other,), family=here))
        questions.append(Question(there, other, (ending,), family=here))
    return choice_rows(questions, random)
