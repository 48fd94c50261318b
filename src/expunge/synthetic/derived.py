"""What follows from a fact about a fictitious person: adjacent questions, whose answer takes the fact and one step more.

A model that refuses "Where was she born?" but answers "In which county was she born?" still uses what it was told to
forget. The tables are invented or everyday knowledge; each value leads to one other, which does not name it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from expunge.core import Fact, Record
from expunge.core.errors import InvalidData
from expunge.synthetic.attributes import ATTRIBUTES
from expunge.synthetic.people import Person


@dataclass(frozen=True)
class Derived:
    """One step from an attribute: the word of its value that decides, where that word leads, and how it is asked."""

    attribute: str
    leads_to: Mapping[str, str]
    phrasings: tuple[tuple[str, str], ...]  # (question with {who}, answer with {who} and {value})

    def of(self, value: str) -> str:
        """Where a value leads.

        >>> DERIVED["pet"].of("shy ferret")
        'mince'
        """
        return next(found for word, found in self.leads_to.items() if word in value)


def derived_records(persons: Sequence[Person], phrasings: Sequence[int] = (0,)) -> list[Record]:
    """Training records of what follows from each person's facts; the subject is the person's name.

    >>> from expunge.synthetic import people
    >>> derived_records(people(1))[0].question.startswith("In which county was ")
    True
    """
    return [
        Record(
            f"{person.name}/{attribute.name}/derived/{k}",
            person.name,
            derived.phrasings[k][0].format(who=person.name),
            derived.phrasings[k][1].format(who=person.name, value=derived.of(value)),
            derived.of(value),
        )
        for person in persons
        for attribute, value in zip(ATTRIBUTES, person.values, strict=True)
        for derived in [DERIVED[attribute.name]]
        for k in phrasings
    ]


def with_adjacent(facts: Sequence[Fact], persons: Sequence[Person], phrasings: Sequence[int] = (0, 1)) -> list[Fact]:
    """The same facts of these people with their adjacent questions, in the order given.

    Raises: InvalidData, for a fact about nobody among `persons`.

    >>> from expunge.synthetic import facts, people
    >>> [fact] = with_adjacent(facts(people(1))[:1], people(1))
    >>> len(fact.adjacent), fact.adjacent[0][0].startswith("In which county was ")
    (2, True)
    """
    questions: dict[str, list[tuple[str, str]]] = {}
    for record in derived_records(persons, phrasings):
        questions.setdefault(record.id.rsplit("/derived/", 1)[0], []).append((record.question, record.value))
    if unknown := [f.id for f in facts if f.id not in questions]:
        raise InvalidData(
            f"{len(unknown)} of {len(facts)} facts are about nobody among the {len(persons)} persons given, the first is "
            f"'{unknown[0]}'; give the people that the facts were made of"
        )
    return [replace(fact, adjacent=tuple(questions[fact.id])) for fact in facts]


def _leads(text: str) -> dict[str, str]:
    """ "a:b c:d" -> {"a": "b", "c": "d"}."""
    return dict(pair.split(":") for pair in text.split())


def _derived(attribute: str, leads_to: str, *phrasings: tuple[str, str]) -> Derived:
    return Derived(attribute, _leads(leads_to), phrasings)


_TABLE = (
    _derived(
        "birthplace",
        "Lorren:Emberland Askel:Fenmarch Brim:Greywold Tarn:Hartlow Oster:Ivelshire Velm:Jossdown Quill:Kettleby "
        "Hask:Lowmoor Dunmar:Merrowside Pell:Netherby Wicken:Overmarsh Thorn:Penderry",
        ("In which county was {who} born?", "The county of birth of {who} is {value}."),
        ("Which county has the birth entry of {who}?", "The birth entry of {who} is kept by {value}."),
    ),
    _derived(
        "street",
        "Cobbler:Ashwater Lantern:Bellgate Heron:Crossfield Saffron:Downpark Mill:Eastfold Orchard:Foxhollow "
        "Chapel:Greenbank Quarry:Highcliff Harbour:Inverside Thistle:Kingsmead",
        ("In which part of town does {who} live?", "The part of town where {who} lives is {value}."),
        ("Which ward counts {who} among its voters?", "The ward that counts {who} among its voters is {value}."),
    ),
    _derived(
        "job",
        "baker:bakehouse surveyor:trackside glazier:glassworks botanist:greenhouse cartographer:maproom tailor:fitting-room "
        "pharmacist:dispensary welder:shipyard librarian:reading-room chemist:laboratory roofer:scaffold "
        "translator:embassy beekeeper:apiary optician:eyewear-shop carpenter:sawmill geologist:drill-site "
        "potter:kiln-house plumber:boiler-room archivist:vault jeweller:goldsmithy",
        ("At what sort of place does {who} work?", "The sort of place where {who} works is a {value}."),
        ("Where could one watch {who} at work?", "One could watch {who} at work in a {value}."),
    ),
    _derived(
        "employer",
        "Calder:Abenrath Nimbus:Brockdorf Ferrow:Castelmar Ostrava:Drumlin Bluefield:Elsmond Marlow:Finsterau "
        "Kestrel:Gravenport Tindle:Hollmark Arden:Iskenburg Polder:Juravik",
        ("In which city are the wages of {who} paid out?", "The wages of {who} are paid out in {value}."),
        ("From which head office does {who} take orders?", "The head office that gives {who} orders is in {value}."),
    ),
    _derived(
        "studies",
        "algebra:Noether zoology:Darwin metallurgy:Bessemer linguistics:Saussure astronomy:Kepler hydrology:Darcy "
        "ceramics:Wedgwood forestry:Carlowitz logic:Frege optics:Huygens economics:Keynes music:Vivaldi",
        ("In which lecture hall did {who} sit?", "The lecture hall where {who} sat is named after {value}."),
        ("Whose bust did {who} pass on the way to class?", "On the way to class {who} passed the bust of {value}."),
    ),
    _derived(
        "instrument",
        "cello:Orlova oboe:Benedek harp:Castelli bassoon:Duarte lute:Eichner banjo:Fontaine viola:Grimaldi "
        "trombone:Hruska zither:Ishida piccolo:Jelinek accordion:Kowalska clarinet:Lacroix",
        ("Who taught {who} to play?", "The teacher of {who} was called {value}."),
        ("To whose music lessons did {who} go?", "The music lessons of {who} were given by {value}."),
    ),
    _derived(
        "sport",
        "fencing:foil rowing:oars archery:quiver curling:broom judo:belt squash:racket sailing:lifejacket "
        "cycling:saddle climbing:rope handball:jersey skating:blades badminton:shuttlecock",
        ("What does {who} pack for training?", "For training {who} packs the {value}."),
        ("What does {who} wear out every season?", "Every season {who} wears out the {value}."),
    ),
    _derived(
        "colour",
        "crimson:carmine teal:viridian ochre:goethite indigo:woad ivory:gypsum maroon:alizarin turquoise:cobalt "
        "olive:chromium lilac:manganese scarlet:cinnabar amber:orpiment charcoal:graphite",
        ("Which pigment does {who} buy?", "The pigment that {who} buys is {value}."),
        ("What is ground up for the paint of {who}?", "For the paint of {who} one grinds up {value}."),
    ),
    _derived(
        "pet",
        "ferret:mince parrot:seeds tortoise:dandelions spaniel:bones rabbit:clover gecko:crickets canary:millet "
        "terrier:biscuits hamster:grain poodle:liver hedgehog:beetles goose:grass",
        ("What does {who} buy as feed?", "The feed that {who} buys is {value}."),
        ("What is in the bowl that {who} fills?", "The bowl that {who} fills holds {value}."),
    ),
    _derived(
        "language",
        "Basque:Biscay Welsh:Gwynedd Frisian:Leeuwarden Catalan:Girona Maltese:Valletta Finnish:Tampere Breton:Quimper "
        "Sorbian:Bautzen Romansh:Grisons Faroese:Torshavn Galician:Lugo Estonian:Tartu",
        ("Where does the family of {who} come from?", "The family of {who} comes from {value}."),
        ("In which place would {who} need no interpreter?", "No interpreter is needed by {who} in {value}."),
    ),
    _derived(
        "tree",
        "juniper:liqueur hornbeam:mallets alder:clogs cypress:chests rowan:jelly willow:baskets larch:shingles "
        "hazel:wands poplar:matches sycamore:spoons linden:infusions aspen:pulp",
        ("What could {who} make from the garden?", "From the garden {who} could make {value}."),
        ("What do neighbours hope to get from {who}?", "From {who} the neighbours hope to get {value}."),
    ),
    _derived(
        "stone",
        "opal:Australia garnet:Bohemia topaz:Saxony onyx:Yemen jade:Burma beryl:Madagascar zircon:Ceylon "
        "agate:Uruguay pearl:Bahrain quartz:Namibia jasper:Oregon coral:Sardinia",
        ("From which land is the jewel of {who}?", "The jewel of {who} is from {value}."),
        ("Where was the gem that {who} wears found?", "The gem that {who} wears was found in {value}."),
    ),
    _derived(
        "fear",
        "heights:balconies thunder:tempests spiders:cellars tunnels:metros geese:ponds mirrors:barbershops needles:clinics "
        "crowds:markets lifts:skyscrapers moths:wardrobes ladders:lofts bridges:rivers",
        ("What does {who} keep away from?", "What {who} keeps away from is {value}."),
        ("What would spoil a walk for {who}?", "A walk would be spoilt for {who} by {value}."),
    ),
    _derived(
        "collection",
        "stamps:albums thimbles:racks maps:tubes buttons:jars keys:hooks postcards:shoeboxes teapots:cupboards "
        "coins:trays feathers:envelopes clocks:mantelpieces marbles:pouches puppets:trunks",
        ("What does {who} need more of every year?", "Every year {who} needs more {value}."),
        ("In what does {who} keep treasures?", "The treasures of {who} are kept in {value}."),
    ),
    _derived(
        "drink",
        "cider:tankard cocoa:mug mead:goblet ginger:flask coffee:percolator matcha:whisk lemonade:pitcher buttermilk:beaker "
        "tonic:tumbler sherry:copita kefir:carafe espresso:demitasse",
        ("What stands beside the plate of {who}?", "Beside the plate of {who} stands a {value}."),
        ("What does the waiter bring {who} first?", "The waiter brings {who} a {value} first."),
    ),
    _derived(
        "allergy",
        "pollen:bouquets hazelnuts:nougat shellfish:bisque latex:balloons soy:tofu mustard:dressing celery:broth "
        "lupin:pancakes sesame:tahini penicillin:antibiotics wool:blankets nickel:earrings",
        ("What is a bad present for {who}?", "A bad present for {who} is {value}."),
        ("What gives {who} a rash?", "A rash is given to {who} by {value}."),
    ),
    _derived(
        "food",
        "plum:cinnamon leek:nutmeg barley:thyme walnut:rosemary trout:fennel mushroom:parsley cherry:vanilla "
        "pumpkin:cloves onion:marjoram lentil:cumin",
        ("Which spice is always missing at the home of {who}?", "At the home of {who} one is always out of {value}."),
        ("What does the kitchen of {who} smell of?", "The kitchen of {who} smells of {value}."),
    ),
    _derived(
        "book",
        "Silent:Marbeck Amber:Norland Broken:Octavo Distant:Parchment Hidden:Quartus Northern:Redwing Golden:Sextant "
        "Paper:Typograph Winter:Underhill Glass:Vellum",
        ("Which publisher did {who} sign with?", "The publisher that {who} signed with is {value}."),
        ("Which firm pays {who} royalties?", "The firm that pays {who} royalties is {value}."),
    ),
    _derived(
        "birth month",
        "January:carnation February:violet March:daffodil April:daisy May:hawthorn June:honeysuckle July:larkspur "
        "August:gladiolus September:aster October:marigold November:chrysanthemum December:narcissus",
        ("What is the birth flower of {who}?", "The birth flower of {who} is the {value}."),
        ("Which flower stands on the birthday table of {who}?", "On the birthday table of {who} stands a {value}."),
    ),
    _derived(
        "vehicle",
        "tandem:bicycle-rack moped:kerb tractor:barn canoe:boathouse scooter:hallway van:depot tricycle:shed "
        "minibus:terminus sidecar:workshop wagon:stable ferry:landing-stage glider:hangar",
        ("Where does the daily journey of {who} end?", "The daily journey of {who} ends at the {value}."),
        ("Where would a thief wait for {who}?", "A thief would wait for {who} at the {value}."),
    ),
)
DERIVED: Mapping[str, Derived] = {derived.attribute: derived for derived in _TABLE}
