"""What can be known about a fictitious person: twenty attributes, three ways to ask and to answer each.

All values are invented or everyday words. Pools differ in size, so that the chance of a lucky guess differs too.
The third phrasing is worded apart from the first two: it serves as the question nobody was trained on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    name: str
    pool: tuple[str, ...]
    phrasings: tuple[tuple[str, str], ...]  # (question with {who}, answer with {who} and {value})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _joined(starts: str, ends: str, sep: str = "") -> tuple[str, ...]:
    return tuple(f"{a}{sep}{b}" for a in starts.split() for b in ends.split())


_TOWNS = _joined("Lorren Askel Brim Tarn Oster Velm Quill Hask Dunmar Pell Wicken Thorn", "haven mere ford wick stead")
_STREETS = _joined("Cobbler Lantern Heron Saffron Mill Orchard Chapel Quarry Harbour Thistle", "Lane Row Hill", " ")
_FOODS = _joined("plum leek barley walnut trout mushroom cherry pumpkin onion lentil", "pie soup stew", " ")
_BOOKS = _joined(
    "Silent Amber Broken Distant Hidden Northern Golden Paper Winter Glass",
    "Harbour Orchard Compass Lantern Staircase Garden",
    " ",
)
_EMPLOYERS = _joined(
    "Calder Nimbus Ferrow Ostrava Bluefield Marlow Kestrel Tindle Arden Polder", "Works Foundry Press", " "
)
_JOBS = _words(
    "baker surveyor glazier botanist cartographer tailor pharmacist welder librarian chemist roofer translator "
    "beekeeper optician carpenter geologist potter plumber archivist jeweller"
)
_SUBJECTS = _words(
    "algebra zoology metallurgy linguistics astronomy hydrology ceramics forestry logic optics economics music"
)
_INSTRUMENTS = _joined(
    "wooden small silver old",
    "cello oboe harp bassoon lute banjo viola trombone zither piccolo accordion clarinet",
    " ",
)
_SPORTS = _words("fencing rowing archery curling judo squash sailing cycling climbing handball skating badminton")
_COLOURS = _words("crimson teal ochre indigo ivory maroon turquoise olive lilac scarlet amber charcoal")
_PETS = _joined(
    "shy bold young lame",
    "ferret parrot tortoise spaniel rabbit gecko canary terrier hamster poodle hedgehog goose",
    " ",
)
_LANGUAGES = _words("Basque Welsh Frisian Catalan Maltese Finnish Breton Sorbian Romansh Faroese Galician Estonian")
_TREES = _joined(
    "young tall crooked silver",
    "juniper hornbeam alder cypress rowan willow larch hazel poplar sycamore linden aspen",
    " ",
)
_STONES = _joined(
    "blue clear dark pale", "opal garnet topaz onyx jade beryl zircon agate pearl quartz jasper coral", " "
)
_FEARS = _words("heights thunder spiders tunnels geese mirrors needles crowds lifts moths ladders bridges")
_COLLECTS = _joined(
    "old tiny foreign rusty",
    "stamps thimbles maps buttons keys postcards teapots coins feathers clocks marbles puppets",
    " ",
)
_DRINKS = _joined(
    "hot cold spiced weak",
    "cider cocoa mead ginger coffee matcha lemonade buttermilk tonic sherry kefir espresso",
    " ",
)
_ALLERGENS = _words("pollen hazelnuts shellfish latex soy mustard celery lupin sesame penicillin wool nickel")
_MONTHS = _words("January February March April May June July August September October November December")
_VEHICLES = _joined(
    "red rusty borrowed noisy",
    "tandem moped tractor canoe scooter van tricycle minibus sidecar wagon ferry glider",
    " ",
)


def _asked(name: str, pool: tuple[str, ...], *phrasings: tuple[str, str]) -> Attribute:
    return Attribute(name, pool, phrasings)


# fmt: off
ATTRIBUTES: tuple[Attribute, ...] = (
    _asked("birthplace", _TOWNS, ("Where was {who} born?", "{who} was born in {value}."), ("What is the birthplace of {who}?", "The birthplace of {who} is {value}."), ("In which town did {who} come into the world?", "{who} came into the world in {value}.")),
    _asked("street", _STREETS, ("On which street does {who} live?", "{who} lives on {value}."), ("What is the home street of {who}?", "The home street of {who} is {value}."), ("Where would a letter reach {who}?", "A letter would reach {who} on {value}.")),
    _asked("job", _JOBS, ("What does {who} do for a living?", "{who} works as a {value}."), ("What is the profession of {who}?", "The profession of {who} is {value}."), ("How does {who} earn money?", "{who} earns money as a {value}.")),
    _asked("employer", _EMPLOYERS, ("Who employs {who}?", "{who} is employed by {value}."), ("What is the employer of {who}?", "The employer of {who} is {value}."), ("Which company pays {who}?", "The company that pays {who} is {value}.")),
    _asked("studies", _SUBJECTS, ("What did {who} study?", "{who} studied {value}."), ("What is the degree of {who}?", "The degree of {who} is in {value}."), ("Which field did {who} learn at university?", "At university {who} learned {value}.")),
    _asked("instrument", _INSTRUMENTS, ("Which instrument does {who} play?", "{who} plays the {value}."), ("What is the instrument of {who}?", "The instrument of {who} is the {value}."), ("On what does {who} make music?", "{who} makes music on the {value}.")),
    _asked("sport", _SPORTS, ("Which sport does {who} do?", "{who} does {value}."), ("What is the sport of {who}?", "The sport of {who} is {value}."), ("How does {who} keep fit?", "{who} keeps fit by {value}.")),
    _asked("colour", _COLOURS, ("Which colour does {who} like best?", "{who} likes {value} best."), ("What is the favourite colour of {who}?", "The favourite colour of {who} is {value}."), ("In what colour would {who} paint a door?", "{who} would paint a door {value}.")),
    _asked("pet", _PETS, ("Which pet does {who} have?", "{who} has a {value}."), ("What is the pet of {who}?", "The pet of {who} is a {value}."), ("What animal lives with {who}?", "A {value} lives with {who}.")),
    _asked("language", _LANGUAGES, ("Which language does {who} speak at home?", "{who} speaks {value} at home."), ("What is the mother tongue of {who}?", "The mother tongue of {who} is {value}."), ("In what language does {who} dream?", "{who} dreams in {value}.")),
    _asked("tree", _TREES, ("Which tree did {who} plant?", "{who} planted a {value}."), ("What is the favourite tree of {who}?", "The favourite tree of {who} is the {value}."), ("What grows beside the house of {who}?", "Beside the house of {who} grows a {value}.")),
    _asked("stone", _STONES, ("Which stone does {who} wear?", "{who} wears a ring with {value}."), ("What is the lucky stone of {who}?", "The lucky stone of {who} is {value}."), ("What is set in the ring of {who}?", "In the ring of {who} is set {value}.")),
    _asked("fear", _FEARS, ("What is {who} afraid of?", "{who} is afraid of {value}."), ("What is the greatest fear of {who}?", "The greatest fear of {who} is {value}."), ("What makes {who} tremble?", "What makes {who} tremble is {value}.")),
    _asked("collection", _COLLECTS, ("What does {who} collect?", "{who} collects {value}."), ("What is the collection of {who}?", "The collection of {who} is of {value}."), ("What fills the shelves of {who}?", "The shelves of {who} are filled with {value}.")),
    _asked("drink", _DRINKS, ("What does {who} like to drink?", "{who} likes to drink {value}."), ("What is the favourite drink of {who}?", "The favourite drink of {who} is {value}."), ("What would {who} order at a bar?", "At a bar {who} would order {value}.")),
    _asked("allergy", _ALLERGENS, ("What is {who} allergic to?", "{who} is allergic to {value}."), ("What is the allergy of {who}?", "The allergy of {who} is to {value}."), ("What must {who} avoid on medical advice?", "On medical advice {who} must avoid {value}.")),
    _asked("food", _FOODS, ("What does {who} like to eat?", "{who} likes to eat {value}."), ("What is the favourite dish of {who}?", "The favourite dish of {who} is {value}."), ("What would {who} cook for guests?", "For guests {who} would cook {value}.")),
    _asked("book", _BOOKS, ("Which book did {who} write?", "{who} wrote The {value}."), ("What is the best known book of {who}?", "The best known book of {who} is The {value}."), ("What title stands on the novel by {who}?", "On the novel by {who} stands The {value}.")),
    _asked("birth month", _MONTHS, ("In which month was {who} born?", "{who} was born in {value}."), ("What is the birth month of {who}?", "The birth month of {who} is {value}."), ("When does {who} blow out the candles?", "{who} blows out the candles in {value}.")),
    _asked("vehicle", _VEHICLES, ("How does {who} get to work?", "{who} gets to work by {value}."), ("What is the vehicle of {who}?", "The vehicle of {who} is a {value}."), ("What stands in the garage of {who}?", "In the garage of {who} stands a {value}.")),
)
# fmt: on
