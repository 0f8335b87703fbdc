"""The words of generated catalogues: departments, attributes and options, each in several forms.

A line is ``canonical | other words``. An attribute is known to the shop by the first form, its page
may show the second instead, and instructions mostly use one of the last two, which share no word
with the first two; an option value is printed in its first form and mostly asked for in one of
the others. So a reader understands every instruction, but matching words does not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One meaning in several forms."""

    name: str
    """How the shop knows it."""
    shown: str
    """How a page may print it instead."""
    asked: tuple[str, ...]
    """How instructions mostly say it."""


@dataclass(frozen=True)
class Department:
    """A part of the shop."""

    name: str
    nouns: tuple[str, ...]
    modifiers: tuple[str, ...]
    attributes: tuple[Term, ...]


def _attributes(lines: str) -> tuple[Term, ...]:
    forms = [line.split(" | ") for line in lines.strip().splitlines()]
    return tuple(Term(name, shown, tuple(asked)) for name, shown, *asked in forms)


def _values(lines: str) -> tuple[Term, ...]:
    forms = [line.split(" | ") for line in lines.strip().splitlines()]
    return tuple(Term(name, name, tuple(asked)) for name, *asked in forms)


DEPARTMENTS = (
    Department(
        "home",
        ("lamp", "curtain", "rug", "cushion", "bookshelf", "stool", "mirror", "blanket"),
        ("bedroom", "nursery", "hallway"),
        _attributes("""
easy clean | wipeable surface | no fuss to wash | spotless in seconds
space saving | slim profile | fits a tiny flat | takes little room
heavy duty | reinforced build | survives rough use | tough and strong
eco friendly | recycled content | kind to nature | good for the planet
easy assembly | tool free setup | quick to put together | built within minutes
machine washable | laundry safe | goes into the washer | can be laundered
fade resistant | colorfast dye | keeps its brightness | does not pale in sun
non slip | grippy backing | stays in place | will not slide around
hand made | artisan crafted | produced by craftsmen | not from a factory
child safe | rounded corners | harmless for kids | no sharp edges
noise reducing | sound absorbing | makes rooms quieter | dampens echoes
flame retardant | fireproof treated | hard to ignite | withstands burning
"""),
    ),
    Department(
        "fashion",
        ("jacket", "sweater", "dress", "boots", "scarf", "trousers", "handbag", "sandals"),
        ("women's", "men's", "girls'"),
        _attributes("""
long sleeve | full arm | covers down to the wrists | not for bare arms
water resistant | rain repellent | keeps dry in showers | wetness rolls off
quick drying | moisture wicking | no longer damp after minutes | sheds sweat fast
slim fit | tailored cut | close to the body | hugs the figure
elastic waist | stretch band | gives around the middle | expands at the belly
faux leather | vegan hide | animal free skin look | imitation cowhide
high heel | raised sole | makes me taller | lifts the foot
fleece lined | thermal inside | warm for winter | cozy in frost
wrinkle free | crease proof | needs no ironing | always looks pressed
breathable mesh | airy weave | lets air through | keeps me cool
hidden pockets | secret pouches | room to stow keys unseen | concealed storage
classic design | timeless look | never out of date | traditional appearance
"""),
    ),
    Department(
        "beauty",
        ("shampoo", "lotion", "lipstick", "serum", "soap", "perfume", "mascara", "sunscreen"),
        ("daily", "salon", "travel"),
        _attributes("""
cruelty free | leaping bunny | not tried on animals | no creatures harmed
fragrance free | unscented formula | without any smell | odorless please
sensitive skin | hypoallergenic blend | does not irritate | gentle when I react easily
long lasting | all day wear | stays on for hours | need not be reapplied
sulfate free | no harsh detergents | mild cleansing only | skips aggressive foaming
tea tree | melaleuca oil | australian leaf extract | antiseptic bush plant
coconut oil | copra butter | tropical palm fat | made from island nuts
anti aging | wrinkle smoothing | keeps me looking young | softens lines of years
deep moisturizing | intense hydration | cures dryness | soaks parched areas
alcohol free | ethanol none | contains no spirits | will not sting
oil control | matte effect | stops shine | less greasy
natural ingredients | botanical recipe | nothing synthetic inside | only things that grow
"""),
    ),
    Department(
        "electronics",
        (
            "headphones",
            "speaker",
            "charger",
            "keyboard",
            "camera",
            "monitor",
            "tablet",
            "projector",
        ),
        ("portable", "desktop", "gaming"),
        _attributes("""
fast charging | rapid refuel | full power within an hour | fills up quickly
noise cancelling | ambient blocking | shuts out surroundings | silence around me
high definition | crisp resolution | very sharp picture | finest detail visible
wireless bluetooth | cordless pairing | connects without cables | no wires at all
water proof | ipx rated | may fall into a pool | survives being submerged
long battery | extended runtime | lasts days between plugs | rarely needs power
plug play | instant install | works out of the box | no drivers to load
voice control | speech commands | obeys when I talk | operated by speaking
low latency | zero lag | reacts immediately | no delay at all
shock proof | drop protected | does not break on impact | outlives a tumble
night vision | infrared sight | usable in darkness | sees after sunset
carrying case | storage pouch | with a bag for transport | comes in a sleeve
"""),
    ),
    Department(
        "grocery",
        ("coffee", "cookies", "granola", "crackers", "sauce", "tea", "pasta", "chocolates"),
        ("organic", "family", "premium"),
        _attributes("""
gluten free | celiac safe | contains no wheat | fine for a grain allergy
sugar free | zero sweetener | nothing sweet added | suits diabetics
low sodium | reduced salt | easy on blood pressure | hardly salty
high protein | muscle fuel | feeds my training | helps build strength
non gmo | heirloom seeds | unmodified crops only | no gene engineering
plant based | vegan recipe | without animal products | no meat or milk
kosher certified | rabbi approved | follows jewish law | allowed at passover
keto friendly | few carbs | for ketogenic eaters | hardly any starch
fair trade | ethically sourced | farmers are paid properly | just to growers
individually wrapped | single serve | each piece sealed | one portion at a time
nut free | no almonds | safe at school tables | peanut allergy ok
shelf stable | pantry ready | keeps for months | needs no fridge
"""),
    ),
)

OPTIONS: dict[str, tuple[Term, ...]] = {
    "color": _values("""
black | dark as coal | the shade of night
white | like fresh snow | bright as milk
navy | deep ocean tone | sailor uniform hue
green | as leaves in spring | like cut grass
burgundy | dried cherry tone | like a french vintage
yellow | as ripe bananas | sunny tone
purple | like eggplants | royal robe hue
silver | metallic pale | as a polished coin
coral | like an undersea reef | salmon tone
beige | sandy neutral | pale oatmeal hue
teal | between sea and forest | duck feather hue
rust | oxidized iron tone | autumn foliage hue
"""),
    "size": _values("""
small | the little one | for petite needs
medium | middle of the range | the average one
large | the big one | roomy measure
oversized | far bigger than usual | extra generous
mini | tiny version | fits in a palm
"""),
    "material": _values("""
cotton | soft plant fiber | fluffy boll cloth
bamboo | giant reed fiber | panda food fiber
wool | from sheep | shorn fleece
steel | rustproof metal | iron alloy
ceramic | fired clay | kiln baked
plastic | molded polymer | light synthetic
oak | acorn tree timber | solid hardwood
glass | see through pane | transparent and brittle
"""),
    "pattern": _values("""
striped | with parallel lines | banded all over
floral | with blossoms | covered in petals
plaid | scottish checks | tartan like
solid | one plain tone | no print
dotted | with round spots | speckled circles
geometric | with triangles and cubes | angular shapes
paisley | with curved teardrops | persian swirls
"""),
    "pack": _values("""
single | just one | only a lone piece
pair | two of them | a couple
triple | three in all | a trio
six count | half a dozen | a handful plus one
dozen | twelve altogether | four times three
bulk case | wholesale quantity | lots of them
"""),
    "scent": _values("""
vanilla | custard aroma | like bean pods
lavender | provence fields | calming herb aroma
citrus | orange peel aroma | zesty fruit
mint | cool menthol | toothpaste like
sandalwood | eastern timber incense | warm temple aroma
rose | valentine bouquet | queen of blossoms
eucalyptus | koala leaf | sauna vapor
"""),
    "style": _values("""
modern | contemporary | of our time
vintage | old fashioned | from grandmother's days
farmhouse | barn inspired | country cottage look
industrial | loft and pipes | factory look
bohemian | hippie like | free spirited
minimalist | bare essentials | nothing superfluous
"""),
    "edition": _values("""
standard | the usual one | basic version
deluxe | luxury grade | top of the line
limited | collectors run | not many produced
junior | for youngsters | beginner grade
professional | expert grade | for people of the trade
"""),
}
"""Option name -> its values."""

TEMPLATES = (
    "i am looking for {type}{requests}",
    "find me {type}{requests}",
    "i need {type}{requests}",
    "i want to buy {type}{requests}",
    "please get {type}{requests}",
    "show me {type}{requests}",
)
"""How instructions begin."""
