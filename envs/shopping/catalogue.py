"""The products of a shop, and the loader of WebShop's original files."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from zlib import crc32

from envs.shopping.matching import Nouns, title_nouns
from rungwise.validation import InputError

CATEGORY_STEP = "\u203a"
"""Stands between the categories of a product."""
UNKNOWN_PRICE = 100.0
"""Dollars that a product without a price costs [WebShop, engine.py]."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A person's instruction for a product, or a synthetic one of the original files."""

    text: str
    attributes: tuple[str, ...]
    """The attributes asked for."""
    options: tuple[str, ...] | None = None
    """Values asked for; None: every combination of the product's options makes a goal."""


@dataclasses.dataclass(frozen=True)
class Product:
    """One product."""

    id: str
    """Its ASIN, in capitals."""
    title: str
    description: str
    features: tuple[str, ...]
    """Bullet points."""
    department: str
    query: str
    """The search under which it was listed, in lower case."""
    category: str
    """Its place in the tree of categories, from the root, with ``CATEGORY_STEP`` between."""
    prices: tuple[float, ...]
    """One price in dollars, or the two ends of a range; empty where none is known."""
    price: float
    """The price of a purchase, within the range."""
    options: Mapping[str, tuple[str, ...]]
    """Option name -> values, both in lower case."""
    attributes: tuple[str, ...]
    """Attributes in the shop's records; no page prints them."""
    nouns: tuple[str, ...]
    """The nouns of the title, in order, repeats included."""
    family: int
    """Products of one family never fall into two splits."""
    requests: tuple[Request, ...] = ()
    """The instructions that ask for it."""

    @property
    def price_text(self) -> str:
        """The price as pages print it."""
        return " to ".join(f"${price}" for price in self.prices or (UNKNOWN_PRICE,))

    @functools.cached_property
    def values(self) -> tuple[tuple[str, str], ...]:
        """Return every (option name, value) in the order of the page."""
        return tuple((name, value) for name, values in self.options.items() for value in values)

    @functools.cached_property
    def searchable(self) -> tuple[str, str, str]:
        """Return title, features and description in lower case, where attributes are looked for."""
        return self.title.lower(), " ".join(self.features).lower(), self.description.lower()

    @property
    def document(self) -> str:
        """The text that the search engine indexes [WebShop, convert_product_file_format.py]."""
        options = ", and ".join(f"{name}: {', '.join(v)}" for name, v in self.options.items())
        first = self.features[0] if self.features else ""
        return f"{self.title} {self.description} {first} {options}".lower()


def load(
    products: Path,
    attributes: Path,
    human: Path | None = None,
    limit: int | None = None,
    nouns: Nouns = title_nouns,
) -> list[Product]:
    """Load products from WebShop's files (``.json`` or ``.json.gz``).

    Args:
        products: ``items_shuffle*.json``.
        attributes: ``items_ins_v2*.json``.
        human: ``items_human_ins.json``; its requests then take the place of the synthetic ones.
        limit: the number of records to read, from the first.
        nouns: finds the nouns of a title.

    Raises:
        InputError: a file that is missing, is not JSON or does not have the form it should.
    """
    records: Sequence[Mapping[str, Any]] = _read(products, list)
    about: Mapping[str, Mapping[str, Any]] = _read(attributes, dict)
    asked: Mapping[str, Any] | None = _read(human, dict) if human else None
    loaded: dict[str, Product] = {}
    for index, record in enumerate(records[:limit]):
        try:
            asin = str(record["asin"])
            # The original silently drops these, too.
            if asin == "nan" or len(asin) > 10 or asin in loaded:
                continue
            facts = about.get(asin, {})
            requests = _synthetic(facts) if asked is None else _human(asked.get(asin, ()))
            loaded[asin] = _product(record, facts, requests, nouns, family=len(loaded))
        except (KeyError, TypeError, ValueError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
            raise InputError(
                f"Record {index} of {products} {what}: it should be a product of WebShop's "
                "items_shuffle files."
            ) from error
    return list(loaded.values())


def find_files(directory: Path, human: bool) -> tuple[Path, Path, Path | None]:
    """Find WebShop's product, attribute and (optional) human instruction files in a directory.

    Raises:
        InputError: a file that is not there.
    """
    wanted = ["items_shuffle*.json*", "items_ins_v2*.json*", *(["items_human_ins.json*"] * human)]
    paths: list[Path] = []
    for pattern in wanted:
        files = sorted(directory.glob(pattern))
        if not files:
            raise InputError(
                f"There is no {pattern} in {directory}: data must be a folder with "
                "WebShop's files (see its setup.sh), or empty for a generated catalogue."
            )
        paths.append(files[0])
    return paths[0], paths[1], paths[2] if human else None


def _read(path: Path, kind: type) -> Any:
    try:
        content = path.read_bytes()
        content = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, kind):
        raise InputError(
            f"{path} should hold a JSON {'list' if kind is list else 'object'}, but it holds a "
            f"{type(content).__name__}: is it the right one of WebShop's files?"
        )
    return content


def _product(
    record: Mapping[str, Any],
    about: Mapping[str, Any],
    requests: Iterable[Request],
    nouns: Nouns,
    family: int,
) -> Product:
    features = record["small_description"]
    prices = _prices(record.get("pricing"))
    return Product(
        id=record["asin"].upper(),
        title=record["name"],
        description=record["full_description"],
        features=tuple(features if isinstance(features, list) else [features]),
        department=record["category"],
        query=record["query"].lower().strip(),
        category=record["product_category"],
        prices=prices,
        price=_price(prices, record["asin"]),
        options=_options(record["customization_options"]),
        # The original's placeholder: a product without records still matches goals by its text.
        attributes=tuple(about.get("attributes", ("DUMMY_ATTR",))),
        nouns=nouns(record["name"]),
        family=family,
        requests=tuple(requests),
    )


def _prices(text: str | None) -> tuple[float, ...]:
    """Parse ``"$12.99$15.99"`` to (12.99, 15.99)."""
    parts = [re.sub(r"[^\d.]", "", part) for part in (text or "").split("$")[1:]]
    return tuple(float(part) for part in parts[:2])


def _price(prices: tuple[float, ...], asin: str) -> float:
    """Return the price; of a range, a point that the ASIN decides (the original's is random)."""
    if not prices:
        return UNKNOWN_PRICE
    return prices[0] + (prices[-1] - prices[0]) * (crc32(asin.encode()) / 2**32)


def _options(raw: Mapping[str, Any] | str | None) -> dict[str, tuple[str, ...]]:
    if not raw:
        return {}
    groups = cast("Mapping[str, Any]", raw)
    return {
        name.lower(): tuple(v["value"].strip().replace("/", " | ").lower() for v in values)
        for name, values in groups.items()
        if values is not None
    }


def _synthetic(about: Mapping[str, Any]) -> list[Request]:
    text = about.get("instruction")
    return [Request(text, tuple(about["instruction_attributes"]))] if text else []


def _human(requests: Iterable[Mapping[str, Any]]) -> list[Request]:
    return [
        Request(
            asked["instruction"].strip("."),
            tuple(asked["instruction_attributes"]),
            tuple(asked["instruction_options"]),
        )
        for asked in requests
        if asked["instruction_attributes"]
    ]
