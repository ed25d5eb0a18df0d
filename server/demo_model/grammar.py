"""The closed vocabulary of the bundled model as a context-free grammar.

Every rule maps a name to alternatives; ``{name}`` in an alternative expands another rule. Alternatives are equally
likely, so one that is listed twice comes twice as often. Because the rules are data, the word list is exact: it is
every literal word that appears in them. Lower case, no punctuation.

>>> sentence(random.Random(3)) == sentence(random.Random(3))
True
"""

import random
import re
from functools import cache

from demo_model.speech import listed

_SLOT = re.compile(r"\{(\w+)\}")


DIGITS = listed("zero one two three four five six seven eight nine")
COMMAND_WORDS = listed(
    "bed bird cat dog down eight five four go happy house left marvin nine no off on one right seven sheila six stop "
    "three tree two up wow yes zero"
)
KEYWORDS = listed("alexa|computer|jarvis|smart mirror|snowboy|view glass", "|")

_NUMBERS: dict[str, tuple[str, ...]] = {
    "digit": DIGITS,
    "unit": DIGITS[1:],
    "teen": listed("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
    "tens": listed("twenty thirty forty fifty sixty seventy eighty ninety"),
    "ordinal": listed("first second third fourth fifth sixth seventh eighth ninth tenth"),
    "below_hundred": ("{digit}", "{digit}", "{teen}", "{tens}", "{tens} {unit}", "{tens} {unit}"),
    "number": (
        *["{below_hundred}"] * 5,
        "{unit} hundred",
        "{unit} hundred and {below_hundred}",
        "{unit} thousand",
        "{unit} thousand {unit} hundred",
    ),
    "digits_short": tuple(" ".join(["{digit}"] * n) for n in range(3, 7)),
    "digits_long": tuple(" ".join(["{digit}"] * n) for n in range(5, 9)),
    "digits_any": tuple(" ".join(["{digit}"] * n) for n in range(1, 9)),
}

_TIMES: dict[str, tuple[str, ...]] = {
    "day": listed("monday tuesday wednesday thursday friday saturday sunday"),
    "month": listed("january february march april may june july august september october november december"),
    "hour": (*DIGITS[1:], "ten", "eleven", "twelve"),
    "minute": listed("fifteen|thirty|forty five|ten|twenty", "|"),
    "half_day": listed("a m|p m", "|"),
    "daytime": listed("in the morning|in the afternoon|in the evening", "|"),
    "clock": (
        "{hour} o'clock",
        "{hour} o'clock",
        "{hour} {minute}",
        "{hour} {minute} {half_day}",
        "half past {hour}",
        "quarter past {hour}",
        "quarter to {hour}",
        "{hour} {half_day}",
        "{hour} {daytime}",
    ),
    "nth": ("{ordinal}", "{ordinal}", "twenty {ordinal}"),
    "near_day": listed(
        "today|tomorrow|tonight|next week|this week|next month|this morning|tomorrow morning|this afternoon", "|"
    ),
    "date": (
        "on {day}",
        "on {day}",
        "on {day}",
        "{near_day}",
        "on {month} {nth}",
        "on {month} {nth}",
        "on the {ordinal} of {month}",
    ),
    "span": listed("minutes|seconds|hours", "|"),
    "countable": listed("minutes seconds hours days people questions"),
}

_THINGS: dict[str, tuple[str, ...]] = {
    "room": listed("kitchen|bedroom|bathroom|office|hallway|garage|garden|living room|meeting room", "|"),
    "device": listed("lights lamp fan heater television radio music camera door window alarm computer printer"),
    "name": listed("alice bob carol david emma frank john mary peter sarah michael anna"),
    "color": listed("red green blue yellow white black orange"),
    "noun": listed(
        "report budget project schedule email message document contract customer system server database network model "
        "recording microphone speech audio file screen page test result problem question answer idea plan team manager "
        "engineer doctor office market product price order ticket flight train station hotel restaurant coffee water "
        "food money book paper phone number address code password agenda topic slide task client summary deadline "
        "decision caption release budget plan report meeting"
    ),
    "adjective": listed(
        "new old big small good bad fast slow important quick early late next last final open ready simple free full "
        "hot cold warm clear short long"
    ),
    "verb": listed(
        "send open close read write check delete save copy move start stop finish review update print find call show "
        "change share test record play discuss cancel join repeat"
    ),
    "city": listed("london|paris|berlin|new york|boston|chicago|delhi|tokyo|sydney", "|"),
    "weather": listed("sunny rainy cloudy windy cold warm hot"),
    "person": (
        "{name}",
        "{name}",
        "my friend",
        "my brother",
        "my sister",
        "the doctor",
        "the manager",
        "the team",
        "the customer",
        "everyone",
        "the engineer",
    ),
    "article": listed("the a my your this that our"),
    "thing": ("{article} {noun}", "{article} {noun}", "{article} {adjective} {noun}"),
    "opening": listed("door window file page"),
}

_ORDERS: dict[str, tuple[str, ...]] = {
    "order_opening": listed("brew|can i get|can i have|i want|get me|give me|i'd like|make me|may i have", "|"),
    "order_article": ("", "a", "a", "an"),
    "size": listed("small|medium|large|eight ounce|twelve ounce|sixteen ounce|twenty ounce", "|"),
    "roast": listed("light roast|medium roast|dark roast", "|"),
    "shots": listed("single shot|double shot|triple shot", "|"),
    "order_trait": ("{size}", "{roast}", "{shots}"),
    "order_traits": (
        "",
        "{order_trait}",
        "{size}",
        "{size} {roast}",
        "{roast} {size}",
        "{shots} {size}",
        "{size} {shots}",
        "{roast} {shots}",
        "{size} {shots} {roast}",
    ),
    "drink": listed(
        "americano|cappuccino|espresso|iced mocha|latte|mocha|coffee|drip coffee|house coffee|iced coffee", "|"
    ),
    "quantity": ("", "some", "a lot of", "lots of", "a bit of", "a little bit of"),
    "milk": listed("milk|skim milk|whole milk|soy milk|almond milk|cream", "|"),
    "sweet": listed("sugar|brown sugar|sweetener", "|"),
    "order_extras": (
        "",
        "",
        "with {quantity} {milk}",
        "with {quantity} {sweet}",
        "with {quantity} {milk} and {quantity} {sweet}",
        "with {quantity} {sweet} and {quantity} {milk}",
    ),
    "order": ("{order_opening} {order_article} {order_traits} {drink} {order_extras}",),
}

_PHRASES = listed(
    "thank you very much|good morning everyone|good afternoon everyone|good evening|good night|hello world|yes please|"
    "no thank you|stop recording|start recording|this is a test|testing one two three|can you hear me|"
    "i can hear you|let us begin|see you tomorrow|i do not know|excuse me|i am sorry|one moment please|"
    "load the new model|that is right|welcome to the meeting|the meeting is over|please speak slowly|any questions|"
    "next question please|can you repeat that please|you are muted|please mute your microphone|"
    "please unmute your microphone|thanks for joining|thank you for joining us today|i agree with you|"
    "i do not agree|go to the next slide|please share your screen|can everyone see my screen|"
    "any other questions or comments|the captions are live|let us take a short break|please raise your hand|"
    "let us start with the first topic|who will take the notes|that is a good point|are there any objections|"
    "let us vote on that|the vote is over|i will send the notes after the meeting|we can hear you clearly|"
    "i will join from home|please turn on your camera|the sound is too quiet|please speak louder|"
    "how do we fix this|we will decide next week|it works now|that does not work",
    "|",
)

_SENTENCES: dict[str, tuple[str, ...]] = {
    "phrase": _PHRASES,
    "meeting": (
        "the next item on the agenda is {thing}",
        "let us move on to the {ordinal} topic",
        "let us discuss {thing}",
        "we agreed to {verb} {thing}",
        "{name} agreed to {verb} {thing}",
        "the deadline is {date}",
        "the deadline was moved to {day}",
        "{name} will take the notes",
        "{name} joined the meeting",
        "{name} left the meeting",
        "i agree with {name}",
        "please go back to slide {below_hundred}",
        "the agenda for {near_day} is {adjective}",
        "action item for {name} {verb} {thing}",
        "who is working on {thing}",
        "i am working on {thing}",
        "we will decide about {thing} {date}",
        "let us take a break of {below_hundred} minutes",
        "we will meet again {date} at {clock}",
        "can you explain {thing} again",
        "the sales were up by {below_hundred} percent",
        "the sales were down by {below_hundred} percent",
        "thank you {name} for the summary",
        "are there any questions about {thing}",
    ),
    "command": (
        "turn on the {room} {device}",
        "turn off the {room} {device}",
        "turn on the {device}",
        "turn off the {device}",
        "please turn the {device} on",
        "please turn the {device} off",
        "please turn the {device} up",
        "please turn the {device} down",
        "set the temperature to {below_hundred} degrees",
        "set the volume to {below_hundred} percent",
        "set the brightness to {below_hundred}",
        "set the heater to {below_hundred} degrees",
        "set the alarm to {clock}",
        "set a timer for {below_hundred} {span}",
        "make the {room} {color}",
        "make the lights {color}",
        "play some music in the {room}",
        "play my music in the {room}",
        "open the {opening} and close the {opening}",
        "load the {adjective} model and start the server",
        "load the {adjective} model and start the recording",
    ),
    "office": (
        "the meeting starts at {clock}",
        "the meeting ends at {clock}",
        "the meeting is at {clock}",
        "the meeting was moved to {clock}",
        "schedule a meeting with {name} {date} at {clock}",
        "remind me to {verb} {thing} {date}",
        "{verb} {thing}",
        "please {verb} {thing}",
        "can you {verb} {thing}",
        "i want to {verb} {thing}",
        "we need to {verb} {thing} before {clock}",
        "send {thing} to {person}",
        "call {name} at {clock}",
        "call {name} {date}",
    ),
    "numeric": (
        "please call {digits_short}",
        "my phone number is {digits_long}",
        "the code is {digits_short}",
        "{digits_any}",
        "{digits_any}",
        "the {noun} costs {number} dollars",
        "we have {below_hundred} {countable} left",
        "how many {countable} do we have",
        "{below_hundred} times {below_hundred} is {number}",
        "{below_hundred} plus {below_hundred} equals {number}",
        "page {number} of the {noun}",
        "today is {day} {month} {nth}",
    ),
    "caption": (
        "what is the weather in {city} {near_day}",
        "what is the time in {city} now",
        "what is the temperature in {city} today",
        "it is {weather} in {city} today",
        "the train to {city} leaves at {clock}",
        "the flight to {city} leaves at {clock}",
        "{name} will arrive {date} at {clock}",
        "where is {thing}",
        "{thing} is {adjective}",
        "{thing} is in the {room}",
        "{thing} and {thing} are {adjective}",
        "hello {name} how are you",
        "hello everyone how are you",
        "the {noun} was {adjective} last week",
        "i think {thing} is {adjective}",
    ),
    "clause": ("{meeting}", "{command}", "{command}", "{office}", "{office}", "{numeric}", "{caption}", "{phrase}"),
    "joiner": ("and", "then", "", "but", "because"),
    "single": COMMAND_WORDS + KEYWORDS + ("{digit}", "{digit}"),
}

RULES: dict[str, tuple[str, ...]] = {**_NUMBERS, **_TIMES, **_THINGS, **_ORDERS, **_SENTENCES}

PHRASES_TO_TRY = (
    "turn on the kitchen lights",
    "set a timer for twenty minutes",
    "the meeting was moved to half past four",
    "schedule a meeting with sarah on monday at ten o'clock",
    "please send the report to alice",
    "let us move on to the second topic",
    "can i have a large latte with almond milk",
    "give me a double shot espresso with brown sugar",
    "my phone number is five five two eight one six",
    "the flight to london leaves at quarter past eight",
    "what is the weather in berlin tomorrow",
    "good morning everyone",
)


def expand(rule: str, rng: random.Random) -> str:
    """Expand one rule of the grammar into words, separated by one space."""

    def replace(match: re.Match[str]) -> str:
        return expand(match.group(1), rng)

    return " ".join(_SLOT.sub(replace, rng.choice(RULES[rule])).split())


@cache
def vocabulary() -> tuple[str, ...]:
    """Return every word the grammar can say, sorted."""
    literal = " ".join(_SLOT.sub(" ", alternative) for alternatives in RULES.values() for alternative in alternatives)
    return tuple(sorted(set(literal.split())))


def sentence(rng: random.Random) -> str:
    """Return a sentence: mostly one clause, sometimes two, sometimes words in random order.

    Random word strings keep the decoder listening: a language model that knows the grammar too well stops doing so.
    """
    kind = rng.random()
    if kind < 0.80:
        return expand("clause", rng)
    if kind < 0.90:
        return " ".join(f"{expand('clause', rng)} {expand('joiner', rng)} {expand('clause', rng)}".split())
    return " ".join(rng.choice(vocabulary()) for _ in range(rng.randint(1, 7)))


def order(rng: random.Random) -> str:
    """Return a coffee order."""
    return expand("order", rng)


def single(rng: random.Random) -> str:
    """Return one to three command words or keywords, without grammar."""
    return " ".join(expand("single", rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))
