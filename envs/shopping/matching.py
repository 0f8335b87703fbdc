"""When two phrases count as the same, as WebShop decides it (goal.py and normalize.py, MIT)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from rungwise.optional_imports import import_extra

Nouns: TypeAlias = Callable[[str], tuple[str, ...]]
"""A tagger: title -> its nouns in lower case, in order, repeats included."""

_COLORS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown
burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac
copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia gold granite
grape graphite grass gray green grey heather indigo ivory ivy khaki lavender lemon leopard light
lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom mustard natural navy
nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire seashell
silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
COLORS = tuple(_COLORS.split())
"""WebShop's COLOR_SET, in its order."""

THRESHOLD = 85
"""Phrases whose token-set ratio is greater are the same."""


@functools.lru_cache(2**18)
def alike(a: str, b: str) -> bool:
    """Return whether two phrases are the same except for words that only one of them has."""
    # Rounded as in the original's library, whose ratios were whole numbers: without it, a ratio of
    # 85.3 would count as above 85.
    fuzz = import_extra("rapidfuzz.fuzz", "shop")
    processed = import_extra("rapidfuzz.utils", "shop").default_process
    return round(fuzz.token_set_ratio(_ascii(a), _ascii(b), processor=processed)) > THRESHOLD


@functools.lru_cache(2**16)
def first_color(phrase: str | tuple[str, str]) -> str:
    """Return the first colour *inside* a phrase, else the phrase.

    Of a pair (option name, value) a colour must be one of the two, as WebShop's ``in`` has it for
    tuples; a pair without one becomes its own ``str``, as in its fuzzy matching.
    """
    # The order of COLORS decides: "red" also matches inside of other words, a quirk that published
    # scores contain.
    return next((color for color in COLORS if color in phrase), str(phrase))


@functools.lru_cache(2**16)
def whole_color(phrase: str) -> str:
    """Return the first colour that is a whole word of a phrase, else the phrase."""
    words = set(re.findall(r"[a-z]+", phrase))
    return next((color for color in COLORS if color in words), phrase)


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


_OTHER = """
a about all also an and any are as at be best both but by can could compatible each for from good
great has have how in into is it its just like made more most new no non not of off on one only or
our out over own per plus pre so than that the their them these this those to too two under up use
used very we which will with without you your
adjustable adult automatic beautiful big black blue bright brown casual classic clean clear color
cold comfortable compact cool cute dark deep disposable double dry durable easy electric elegant
extra fashion fast fine flat foldable free fresh full gentle gold golden gray green grey handmade
hard heavy high hot indoor large light lightweight little long loose low luxury magnetic medium mini
modern multi natural navy open orange organic original outdoor perfect pink portable premium
professional pure purple quick real red removable reusable round rustic safe sexy short silver
single slim small soft solid square stainless strong super sweet tall thick thin tight ultra
universal upgraded vintage vegan warm waterproof white wide wireless yellow
anti assembled based built charging cleansing covered designed fitted fold hanging hydrating
inspired layered lined lasting mounted moisturizing padded pack printed ruffled scented sized
sleeveless striped upholstered washed wash working
"""
_NO_NOUNS = frozenset(_OTHER.split())


@functools.lru_cache(2**16)
def title_nouns(title: str) -> tuple[str, ...]:
    """Return a title's words that the lexicon does not know as another kind."""
    words = re.findall(r"[a-z]+", title.lower())
    return tuple(word for word in words if len(word) > 2 and word not in _NO_NOUNS)


def spacy_nouns(model: str = "en_core_web_lg") -> Nouns:
    """Return the nouns of a title by the original's tagger (needs spaCy and a model).

    Raises:
        InputError: spaCy is not installed.
    """
    tag: Any = import_extra("spacy", "shop").load(model)

    def nouns(title: str) -> tuple[str, ...]:
        return tuple(t.text.lower() for t in tag(title) if t.pos_ in ("NOUN", "PROPN"))

    return nouns
