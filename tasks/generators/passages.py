"""Short passages of many registers, scored token by token from their first word to their last."""

from __future__ import annotations

from random import Random

from eebench.tasks.generators.documents import TEST_DOCUMENTS, Row, shuffled

# An indented line goes on with the passage above it.
PASSAGES = """
The ferry leaves at seven, so we packed the car in the dark and drove to the harbor without waking the neighbors.
  By breakfast we were already out of sight of land.
Melt the butter in a wide pan, add the onions, and stir them slowly until they turn soft and golden.
  When they begin to smell sweet, pour in the stock.
My grandfather kept bees for forty years and never once wore gloves, because he believed that they knew his hands.
  He was stung only once, by a wasp.
Heavy snow is expected in the hills tonight, and drivers are advised to stay at home unless their journey is urgent.
  The main pass has been shut since noon.
A triangle with three equal sides also has three equal angles, and each of them measures sixty degrees.
  Cut it in half and you get two right triangles.
"You are late again," said the teacher, without looking up from the pile of notebooks on her desk.
  The whole class turned around to look at him.
The old bridge was closed last autumn after engineers found cracks in two of its stone pillars.
  Until it is repaired, trucks must use the ferry.
Dear Helen, thank you for the lovely photographs; the children have already put them up on the kitchen wall.
  Next summer we hope to visit you again.
Octopuses have three hearts, and two of them stop beating for a moment whenever the animal swims.
  That may be why they prefer to crawl.
After the flood, the people of the valley rebuilt their houses a little higher up the slope.
  Only the baker stayed where he was, and his cellar is damp.
To reset the clock, hold down both buttons for five seconds and wait until the display begins to blink.
  If nothing happens, change the battery and try again.
The council voted on Tuesday to turn the empty factory into a library with a small theater on the roof.
  Work will start as soon as the money has been found.
She ran the last mile in the rain, crossed the line alone, and only then noticed that she had lost a shoe.
  She still won by more than two minutes.
Most of the water on our planet is salty, and much of the rest is locked up in ice.
  Only a tiny part of it can be drunk.
He opened the letter, read it twice, folded it again, and put it back into his pocket without a word.
  Nobody at the table dared to ask him what it said.
If you boil an egg for ten minutes, both the white and the yolk will be firm all the way through.
  For a softer egg, take it out after six.
The orchestra had just begun the slow movement when a telephone rang somewhere in the third row.
  The conductor put down his baton and waited.
In spring the storks come back to the village and repair the nest on top of the church tower.
  The young ones leave it again in late August.
Our train stopped for an hour in the middle of a field, and nobody came to tell us why.
  Then it went on as if nothing had happened.
The company said that its sales had grown by a fifth, although profits fell because of higher wages.
  The new chairman hopes for a better winter.
Sharks were swimming in the sea long before the first trees grew on land.
  They have hardly changed since that time.
Please leave your wet boots at the door and hang your coat on one of the hooks beside the stove.
  Dry socks can be found in the basket by the window.
The moon has no air, so a footprint left there can last for millions of years.
  No wind will ever blow it away.
When the lights went out, my sister told ghost stories until even she was afraid to go upstairs.
  In the end we all slept in the same bed.
A good knife should feel balanced in the hand, neither too heavy in the blade nor too light in the handle.
  Try several of them before you decide to buy.
Nobody in the office knew how to make coffee, so they hired a student who had once worked in a bar.
  He stayed for eleven years and became the director.
The last king of the island had no children, and after his death the crown was sold to a museum.
  Visitors can see it there under thick glass.
Turn left at the bakery, walk past the school, and you will see the hotel on the other side of the canal.
  If you reach the petrol station, you have gone too far.
Bats find their way in the dark by listening to the echoes of their own high cries.
  Some moths have learned to jam the signal.
The patient was given a new medicine, and within two days the fever had gone and she was able to eat.
  Her doctors were as surprised as she was.
We planted three apple trees behind the barn, but the goats got out and ate two of them.
  The third one survived and is now taller than the barn.
Iron rusts when it is left in damp air, while gold stays bright for thousands of years.
  That is why the old masks still shine.
"Is anyone sitting here?" asked the man with the violin case, pointing at the seat by the window.
  He did not wait for a reply before he sat down.
The second half of the match was dull, and most of the crowd had left before the final whistle.
  Both goals had been scored in the first ten minutes.
In the desert the days are burning hot, but the nights can be cold enough to freeze water.
  Travelers pack a thick blanket as well as a hat.
I have lived on this street all my life, and I still do not know the name of the man next door.
  His cat, on the other hand, visits me every evening.
The recipe calls for two cups of flour, a pinch of salt, and as much patience as you can find.
  Bake it until a needle comes out clean.
Long ago, a fisherman caught a talking carp, and out of pity he let it swim away.
  Ever since then his nets have been full.
Many early maps show islands that were never there, drawn by sailors who had mistaken clouds for land.
  One of them stayed on the charts for three centuries.
The museum is free on the first Sunday of each month, so come early if you do not like crowds.
  The guided tours, however, must still be paid for.
Her first novel was rejected by eleven publishers before a small press in Dublin agreed to print it.
  It has now been translated into thirty languages.
The dog waited at the station every evening, long after his master had stopped coming home.
  The railway workers took turns bringing him his supper.
Add the numbers in each column, write down the last digit, and carry the rest to the next column.
  Check the result by adding from the bottom up.
A thin layer of ice had formed on the pond, and the ducks walked over it with great care.
  In the middle there was still a small patch of open water.
The lawyer asked for a short break, and the judge, who was hungry too, agreed at once.
  The witness used the time to slip out of the building.
Tea was once so costly that families kept it in a locked box and carried the key on a chain.
  The servants were given the used leaves.
There was no answer when I knocked, but I could hear a piano being played very softly upstairs.
  When I called out, the music stopped.
The wind turbines on the ridge produce enough power for nine hundred homes, even on calm days.
  On stormy days they have to be switched off.
My brother is afraid of spiders, yet he works in a cellar where there are hundreds of them.
  He says that the ones he cannot see are the worst.
Honey never spoils if it is kept in a closed jar, because almost nothing can live in so much sugar.
  Jars of it have been found in ancient tombs.
The actors forgot their lines on the opening night, but the audience thought it was part of the play.
  The critics praised the long and daring pauses.
A heart beats about a hundred thousand times a day and hardly ever asks for a rest.
  Even while we sleep it goes on working.
The plumber promised to come on Monday, then on Wednesday, and finally he stopped answering his phone.
  We learned to fix the pipe ourselves.
Sound travels faster through water than through air, and faster still through steel.
  That is why you can hear a train in the rails.
On the hottest day of the year the ice cream van broke down in front of the fire station.
  The firemen had never been in a better mood.
The queen refused to sign the treaty until every prisoner had been sent home.
  Her advisers begged her to think of the harvest.
You can grow mint in almost any garden, but plant it in a pot or it will take over everything.
  Cut it often, and it will grow all the thicker.
The children dug a hole so deep that they had to shout to be heard from the bottom.
  It took their parents two days to fill it up again.
Two thousand people marched through the town to protest against the closing of the hospital.
  The minister has agreed to meet them next week.
Glass is made from sand, which is heated until it melts and then cooled before it can form crystals.
  Seen up close, it still has no order inside.
He had a habit of whistling when he was nervous, and on the day of the exam he whistled all morning.
  The other students asked him to stop, but he could not hear them.
The lighthouse keeper wrote in his diary every night, even when there was nothing to report but fog.
  His last entry was a single word: sunshine.
Whales sing to each other across hundreds of miles of open ocean.
  The songs change a little from year to year.
The elevator stopped between two floors, and for the first time the two neighbors spoke to each other.
  By the time it moved again, they were friends.
Before you paint the wall, wash it well, fill the holes, and let everything dry for a day.
  Two thin coats are better than one thick one.
The bank opened at nine, and by ten there was a line of worried people all the way around the corner.
  The manager promised that their savings were safe.
In winter the lake freezes so hard that trucks can drive across it to the villages on the far shore.
  In April the ice groans, and the trucks stay at home.
Our cat brings us a mouse each morning and seems disappointed that we never eat it.
  We thank her all the same and bury them in secret.
A comet is a ball of dust and ice that grows a bright tail when it comes near the sun.
  Some of them return only once in a thousand years.
The tailor looked at the torn jacket, shook his head, and said that it would be cheaper to buy a new one.
  The customer had worn it for thirty years and refused.
They say that the mountain is asleep, but on quiet nights you can hear it breathing.
  The shepherds never pitch their tents on its southern side.
The price of coffee rose again this week after frost damaged the harvest in Brazil.
  Roasters expect that it will stay high until the spring.
She learned to drive at the age of seventy and bought a red sports car the very next day.
  Her grandchildren are forbidden to ride with her.
Every cell in the body carries the same plan, yet a nerve looks nothing like a muscle.
  The difference lies in which parts of it are read.
It was the kind of hotel where the towels were thin, the walls thinner, and the breakfast thinnest of all.
  We stayed for a week and enjoyed every minute.
The first telephone book had only fifty names in it, and no numbers at all.
  To make a call, you asked the operator for a person.
We lost the map on the second day, and after that we simply followed the river.
  On the fifth day it led us to a village.
A dictionary tells you what a word means, but only use will teach you when to say it.
  Children seem to know this without being told.
The baby slept through the thunder, the barking dogs, and the fire engine, and woke up when a spoon fell.
  Her parents have bought a whole box of spoons since then.
Carbon can be as soft as the tip of a pencil or as hard as a diamond.
  Everything depends on how its atoms are joined.
The mayor cut the ribbon, the band began to play, and the new swings were full within a minute.
  The old slide is going to be repaired in the autumn.
There are more ants in a single forest than there are people in the world.
  Put together, they weigh about as much as we do.
I asked for a window seat and was given one, right behind a pillar and next to the toilet.
  The concert itself, I was told, was excellent.
The carpenter measured the table twice, cut it once, and still it would not fit through the door.
  In the end he sawed the door in half.
Rain drummed on the tin roof all night, and in the morning the whole garden smelled of earth.
  The snails came out, and after them came the hedgehogs.
Camels do not keep water in their humps; they keep fat, which serves them as food on long journeys.
  A thirsty one can empty a bathtub in minutes.
The museum bought the painting for a fortune and learned a year later that it was a copy.
  It hangs in the cellar now, with its face to the wall.
Please read the following passage carefully and answer the questions in complete sentences.
  You may use a pencil, but not a dictionary.
Her suitcase went to Lisbon while she went to London, and they met again a week later in Madrid.
  The airline sent her flowers and a toothbrush.
The soup needs salt, the bread needs butter, and the cook needs a holiday.
  Apart from that, dinner is ready.
The river has changed its course three times since the town was founded on its banks.
  Each time a part of the old town was left without a harbor.
When water freezes it takes up more room, which is why a full bottle may burst in the freezer.
  Leave some space at the top and loosen the cap.
The two sisters opened a bookshop and a bakery, side by side, with a door in the wall between them.
  Customers come for a novel and leave with a cake.
At the top of the stairs hung a portrait of a man with a gray beard and a very small dog.
  The eyes of the dog seemed to follow us down the hall.
The strike ended on Friday when both sides agreed to a shorter week and slightly higher pay.
  Trains will run normally again from Sunday morning.
Bread dough should rise in a warm place until it has doubled in size, which takes about an hour.
  Do not open the oven during the first half of the baking.
An owl can turn its head so far around that it looks straight over its own back.
  It needs to, for its eyes cannot move.
The boy counted his coins again, but no matter how he counted there were only nine.
  The tenth had rolled under the bed a week ago.
Astronomers found the planet by watching its star grow a little dimmer every eleven days.
  Its year is shorter than two of our weeks.
I would have called you sooner, but my phone fell into the soup at lunch.
  It works again now, but everything I hear sounds wet.
The roof leaked, the heater failed, and the rent went up, so in May they moved to the coast.
  They have not regretted it for a single day.
The treaty was signed in a railway carriage that had been parked in a forest clearing.
  Nothing is left of it today except the rails.
A spider repairs its web each evening and often eats the old threads first.
  By morning the trap is as good as new.
They danced until the musicians packed up, and then they danced without any music.
  The owner of the hall finally turned off the heating.
The vaccine must be kept cold from the factory to the village, or it will lose its strength.
  Somewhere along the way there is always a broken fridge.
No one had lived in the mill for years, yet smoke was rising from its chimney.
  The children dared each other to knock at the door.
To get to the island you need a boat, a calm sea, and a good reason for going there.
  The ferryman will ask you what that reason is.
The goalkeeper guessed the right corner, dived, and pushed the ball around the post.
  A moment later the match was over.
Potatoes came to Europe from South America, and at first many people were afraid to eat them.
  A clever king is said to have put guards around his field.
My aunt collects teapots; she owns more than two hundred of them and drinks only coffee.
  When we visit her, we bring our own tea.
The library will be closed for repairs from the first of June until the end of August.
  Books that are due in that time may be returned in autumn.
Light from the sun takes about eight minutes to reach us, so we always see it as it was.
  The light of the stars is very much older.
She put the ring back in its box, the box in the drawer, and the key in the river.
  Then she went home and slept until noon.
The students measured the height of the tower by comparing its shadow with that of a stick.
  They were wrong by less than the width of a hand.
His boat was so small that when he stood up to cast his net he had to take off his hat for balance.
  When he caught something, he had to let it go.
Volcanoes can bury a city in a single night and make the fields around it rich for centuries.
  That is why people always come back to them.
The waiter brought the wrong order to every table, and yet nobody complained about the food.
  It was, we later found out, his first day at work.
The town clock has been five minutes slow for as long as anyone can remember.
  Visitors miss their trains, but nobody wants to repair it.
Keep this medicine out of the reach of children, and do not take more than two tablets a day.
  If the pain does not stop, call your doctor.
A crow will remember the face of someone who has been unkind to it, and will warn its friends.
  Some of them will even bring gifts to those who feed them.
The snow had covered all the signs, so at the crossing we tossed a coin and went north.
  That is how we found the inn.
The minister denied the report in the morning and resigned in the afternoon.
  His successor has promised to read it.
Put the lid on the pot, turn down the heat, and let the beans cook gently until they are tender.
  Only then should you add the salt.
The painter never used green; she mixed it herself, each time a little differently, from blue and yellow.
  She said that the shops had no idea what grass looks like.
Deep in the cave the guide switched off her lamp so that we could see what real darkness was.
  After a while somebody laughed, and it was not one of us.
Penguins cannot fly through the air, but under water they are as quick as arrows.
  On land they prefer to slide on their bellies.
Grandmother knitted a sweater for each of us, always one size too large, so that we would grow into it.
  Mine has now reached my elbows.
The experiment was repeated three times, and each time the liquid turned blue within a minute.
  The young chemist did not trust her own eyes.
He bought a ticket at the last minute, ran to the platform, and jumped into the wrong train.
  The view, he told us later, was wonderful.
The castle was never conquered, because no army could find enough water to stay beside it for long.
  Its own well was hidden under the chapel floor.
On market days the square is full of carts, and you can buy anything from cheese to live geese.
  By four o'clock only the sweepers are left.
The screen went black, there was a smell of burning plastic, and a week of work was gone.
  The repairman asked, too late, whether I had made a copy.
Trees talk to each other through their roots, or so the forester told us as we walked.
  We promised to keep our voices down.
You should change the oil every year and check the brakes before any long drive.
  If the pedal feels soft, stop at once.
The poet died young and poor, and now there is a statue of him in front of the bank.
  He would have laughed at the pigeons on his head.
We heard the waterfall long before we saw it, a low roar behind the wall of trees.
  A rainbow stood in the spray above the rocks.
The shop on the corner sells nothing but buttons, and somehow it has survived for ninety years.
  The owner says that people will never stop losing them.
A bicycle stays upright most easily when it is moving fast.
  At a standstill, even a good rider will soon fall over.
My neighbor waters her plastic flowers every morning, and I have never dared to ask her why.
  At night, when I am alone, I water mine as well.
The jury talked for six hours and came back without having agreed on anything.
  A new trial will begin in the spring.
Salt lowers the point at which water freezes, which is why it is scattered on icy roads.
  In very hard frost even that does not help.
The captain ordered the sails to be taken in, for the sky in the west had turned the color of lead.
  An hour later the first wave came over the side.
Half of the class had the flu, so the play was put on with four actors and a great many hats.
  The audience agreed that the storm had never been so short.
In the old days letters took a month to cross the ocean, and bad news was always late.
  Good news, strangely enough, was even later.
The oldest tree in the park was planted on the day that the war ended.
  The couple who planted it still come to see it.
It is easier to fold a shirt on a flat table than to explain in words how it is done.
  Start with the sleeves and do the collar last.
The new stadium cost twice as much as planned and was finished a year after the games.
  Now it is used for concerts and for parking.
The thief left no fingerprints, but he did leave his library card on the kitchen table.
  It was overdue by more than a year.
Elephants can hear thunder so far away that for us the sky is still blue and silent.
  They hear it with their feet as well as their ears.
I dreamed that I could play the trumpet, and when I woke up I was sorry that it was not so.
  For the rest of the day I hummed the tune.
The pupils wrote a letter to the factory to ask why the river had turned orange.
  The answer came in the form of twelve lawyers.
First loosen the bolts, then lift the car with the jack, and only then take off the wheel.
  Never trust the jack alone while you are under it.
Fog filled the valley like milk in a bowl, and only the church tower stood out of it.
  Toward noon it lifted, and we could see the roads.
The doctor listened to his chest for a long time and then asked him whether he still smoked.
  He said no, which was true since the morning.
Copper was one of the first metals that people learned to shape, long before iron.
  They hammered it cold into beads and pins.
The parcel had been around the world twice before it was delivered to the house across the street.
  Inside, wrapped in straw, was a jar of plums.
He spoke six languages and was silent in all of them.
  His wife, who spoke only one, never stopped talking.
The meeting was moved from the large room to the small one because only three people came.
  Afterward all three were asked to write a report.
Frogs drink through their skin and have no need to swallow water.
  In dry months they wait under the mud for rain.
At midnight the bells rang, the ships in the harbor sounded their horns, and a new century began.
  My grandmother went to bed as usual.
The apples from the tall tree are sour, but they make the best pies in the county.
  We pick them in October, with a ladder and a long pole.
She fixed the radio with a hairpin and a piece of chewing gum, and it has worked ever since.
  Her husband does not dare to touch the volume.
The farmers want rain, the tourists want sun, and the weather listens to neither of them.
  So far this year all of them have been angry.
To divide by a fraction, turn it upside down and multiply.
  The same trick works with whole numbers as well.
The old woman fed the pigeons every day at noon, and they knew the time better than she did.
  When she was ill, they sat waiting on the bench.
The plane circled the city for an hour because a family of foxes was playing on the runway.
  The passengers crowded to the left to see them.
Most stars are members of a pair, held together by gravity and slowly circling one another.
  Our own sun is unusual in being alone.
There was a time when everyone in the village could read the sky like a newspaper.
  Today they look at their phones and get wet.
The book had lost its cover and its first ten pages, so we had to guess how the story began.
  None of our guesses was as strange as the truth.
Wash the rice until the water runs clear, then cook it in twice its volume of water.
  Let it stand for five minutes before you serve it.
The guard dog barked at the owner, wagged its tail at the burglar, and went back to sleep.
  The police have asked the cat for a statement.
The company will open two new offices next year, one in Oslo and the other in Singapore.
  About sixty people will be hired to work there.
The desert flower blooms for one night only, and by sunrise its petals have fallen.
  People from far away drive out to watch it.
I found my old school bag in the attic, with a sandwich in it that was older than my children.
  The apple next to it had not survived at all.
The general drew a line on the map with his finger and said that nobody was to cross it.
  That night the wind blew the map into the river.
Babies are born with more bones than adults have, because many of them later grow together.
  The kneecap of a newborn is still quite soft.
They painted the boat blue so that the fish would think it was a piece of the sky.
  The gulls, at least, were deceived.
The theater burned down in the winter of that year and was never rebuilt.
  Where it stood there is now a garden with a fountain.
Swallows were flying low over the meadow, which according to my uncle meant that rain was near.
  An hour later we were soaked, and he was proud.
The instructions were written in a language that none of us had ever seen before.
  In the drawings a small man kept pointing at a wheel.
The bus driver knew all the passengers by name and waited for those who were late.
  On her last day they gave her a gold whistle.
Cats sleep for two thirds of the day and spend much of the rest washing themselves.
  They hunt at dawn, when everyone else is half awake.
She signed the contract, shook hands with everyone in the room, and went outside to scream.
  When she came back, she was perfectly calm.
The dam holds enough water to supply the city for three dry summers.
  A fourth would be a disaster for the farms.
A letter without a stamp had been pushed under the door, and it was addressed to nobody.
  We have kept it on the shelf ever since.
The violin was made in a small town in Italy, and nobody knows what kind of varnish was used.
  Experts have been arguing about it for two hundred years.
Remember to switch off the gas, lock the back door, and give the spare key to the neighbors.
  They will also take care of the fish.
The mathematician proved the theorem on a napkin, and then the waiter threw the napkin away.
  It took him seven years to find it again.
For three days the ship lay still, with its sails hanging loose and the sea as flat as glass.
  On the fourth morning a breeze sprang up from the south.
Yesterday I saw a man walking a tortoise on a leash, and neither of them was in a hurry.
  The tortoise, if anything, was a little ahead.
The reef is home to thousands of kinds of fish, many of which live nowhere else on earth.
  Divers are asked not to touch anything at all.
Nobody had told the bride that the church had two doors, so she waited at the wrong one.
  By the time they found her, the groom had gone home.
The court ruled that the land belonged to the tribe and that the mine had to close.
  The owners of the mine have said that they will appeal.
In a mirror your left hand becomes your right, but your head stays at the top.
  If you lie down, things get more confusing.
We shared the last orange, piece by piece, and agreed that we had never tasted anything better.
  The skin we kept, because of its smell.
The clockmaker's shop was silent on the day of his funeral, for every clock had been stopped.
  Late that night one of them began to tick.
Plants turn toward the light, and if you rotate the pot they will slowly turn back again.
  It takes them no more than a few hours.
The inspector asked for their tickets, and all at once everyone in the carriage was asleep.
  Only a small dog in a basket showed its ticket.
My father says that a fence should be high enough for privacy and low enough for conversation.
  Ours is exactly as high as his chin.
The astronaut missed the sound of rain more than anything else.
  Her crew played it to her on her birthday.
"If you can hear me, knock twice," she whispered, and from inside the wall came three knocks.
  She knocked twice and ran for a hammer.
The road to the summit is closed to cars in winter, but you may walk up at your own risk.
  The rangers will not come to look for you.
Once a year the river is allowed to flood the fields, and the fish swim among the corn.
  When the water sinks, the soil is black and rich.
Every evening at six the baker gives away the bread that he has not been able to sell.
  Those who come too early have to help him sweep.
"""


def rows(random: Random) -> list[Row]:
    passages = shuffled(PASSAGES.replace("\n  ", " ").strip().splitlines(), random)
    return [{"split": "test", "text": passage} for passage in passages[:TEST_DOCUMENTS]]
