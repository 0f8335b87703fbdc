# pyright: basic
"""Slow twins: WebShop's reward written from its description alone, without the product's code."""

import difflib
import re

import pytest

_COLORS = (
    "alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown "
    "burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee "
    "cognac copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia "
    "gold granite grape graphite grass gray green grey heather indigo ivory ivy khaki lavender "
    "lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor "
    "mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red "
    "rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower "
    "tan taupe teal tiger turquoise violet walnut wheat white wine yellow"
)
COLORS = _COLORS.split(" ")


def ratio(a, b):
    if not a or not b:
        return 0
    return round(100 * difflib.SequenceMatcher(None, a, b).ratio())


def token_set_ratio(a, b):
    """thefuzz 0.19: the best of three comparisons of sorted common and other words."""
    a, b = (
        set(re.sub(r"\W", " ", str(x).encode("ascii", "ignore").decode().lower()).split())
        for x in (a, b)
    )
    if not a or not b:
        return 0
    common = " ".join(sorted(a & b))
    left = f"{common} {' '.join(sorted(a - b))}".strip()
    right = f"{common} {' '.join(sorted(b - a))}".strip()
    return max(ratio(common, left), ratio(common, right), ratio(left, right))


def normal(item):
    for color in COLORS:
        if color in item:  # a part of a string, or one of a pair
            return color
    return item


def reward(goal, product, chosen):
    """(r_type, attribute hits, option hits, r_price, total) of a purchase."""
    wanted, nouns = goal.target, list(goal.target.nouns)
    title = len(set(nouns) & set(product.nouns)) / len(nouns) if nouns else 0.2
    places = [{x.strip() for x in p.category.split("\u203a")} for p in (wanted, product)]
    match = wanted.query == product.query or len(places[0] & places[1]) >= 2 or title > 0.2
    r_type = 1.0 if match else 0.5
    if title < 0.1:
        r_type = 0.1
    if title == 0.0:
        r_type = 0.0
    attributes = 0
    for attribute in goal.attributes:
        texts = (product.title, " ".join(product.features), product.description)
        if any(token_set_ratio(own, attribute) > 85 for own in product.attributes) or any(
            attribute in text.lower() for text in texts
        ):
            attributes += 1
    items = [normal((name, value) if name else value) for name, value in goal.options]
    bought = [normal(value) for _, value in chosen]
    options = sum(any(token_set_ratio(b, item) > 85 for b in bought) for item in items)
    price = product.price <= goal.price_upper
    total = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    return r_type, attributes, options, price, total * r_type


def assert_reward(found, goal, product, chosen):
    """The product's reward of a purchase is the twin's, part by part."""
    *parts, total = reward(goal, product, chosen)
    assert [found.type, found.attributes, found.options, found.price] == parts
    assert found.total == pytest.approx(total, abs=1e-9)


class Session:
    """One visit to WebShop as section 1.1 of its description has it: dictionaries and strings."""

    def __init__(self, store, goal):
        self.store, self.instruction = store, store.goals[goal].instruction
        self.by_id = {product.id: product for product in store.products}
        self.page, self.reward, self.done = "index", 0.0, False
        self.reset()

    def reset(self):
        self.found, self.number, self.asin, self.asins, self.options = [], 1, None, set(), {}

    def nodes(self):
        """(text, kind) of every visible piece; kinds: plain, button, link, option."""
        head = [("Instruction:", "plain"), (self.instruction, "plain")]
        if self.page == "index":
            return [("WebShop", "plain"), *head, ("Search", "button")]
        nodes = [*head, ("Back to Search", "button")]
        if self.page == "results":
            nodes.append((f"Page {self.number} (Total results: {len(self.found)})", "plain"))
            if self.number > 1:
                nodes.append(("< Prev", "button"))
            nodes.append(("Next >", "button"))
            for asin in self.found[10 * (self.number - 1) : 10 * self.number]:
                product = self.by_id[asin]
                nodes += [(asin, "link"), (product.title, "plain"), (product.price_text, "plain")]
            return nodes
        nodes.append(("< Prev", "button"))
        product = self.by_id[self.asin]
        if self.page == "item":
            for name, values in product.options.items():
                nodes += [(name, "plain"), *((value, "option") for value in values)]
            nodes += [(product.title, "plain"), (f"Price: {product.price_text}", "plain")]
            nodes += [("Rating: N.A.", "plain")]
            return [
                *nodes,
                *((b, "button") for b in ("Description", "Features", "Reviews", "Buy Now")),
            ]
        texts = {"description": [product.description], "features": product.features, "reviews": []}
        return [*nodes, *((text, "plain") for text in texts[self.page])]

    def clickables(self):
        return {text.lower(): kind for text, kind in self.nodes() if kind != "plain"}

    def act(self, action):
        found = re.match(r"(.+)\[(.+)\]", action)
        if not found or self.done:
            return
        verb, argument = found[1], found[2].lower()
        if verb == "search":
            self.page, self.number, self.asin, self.options = "results", 1, None, {}
            places = self.store.engine.search(argument)
            self.found = [self.store.products[place].id for place in places]
        elif verb == "click" and argument in self.clickables() and argument != "search":
            self.clicked(argument, self.clickables()[argument])

    def clicked(self, argument, kind):
        if kind == "link":
            self.page, self.asin = "item", argument.upper()
            self.asins.add(self.asin)
        elif kind == "option":
            names = [n for n, vs in self.by_id[self.asin].options.items() if argument in vs]
            self.options[names[-1]] = argument
        elif argument == "back to search":
            self.page = "index"
            self.reset()
        elif argument == "next >":
            self.number += 1
        elif argument == "< prev":
            if self.page == "results":
                self.number -= 1
            elif self.page == "item":
                self.page, self.asin, self.options = "results", None, {}
            else:
                self.page = "item"
        elif argument == "buy now":
            self.done = True
        else:
            self.page = argument
