"""The shop's search engine: BM25 by tantivy, indexed once for each catalogue and opened by many."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rungwise.optional_imports import import_extra
from rungwise.validation import InputError

RETURNED = 50
"""Products that a search finds at most [WebShop, SEARCH_RETURN_N]."""


class Tantivy:
    """An index in a folder whose name is the hash of what it holds.

    The folder appears in one rename when the index is complete, so any number of processes may ask
    for the same one at the same time. Pickled by its path.
    """

    def __init__(self, documents: Sequence[str], cache: Path) -> None:
        # Another version may not read this one's files.
        version = import_extra("tantivy", "shop").__version__
        # NUL separates documents, so that moving text between neighbours changes the hash.
        digest = hashlib.sha256("\0".join((_FORMAT, version, *documents)).encode()).hexdigest()
        self.path = cache / f"shop-{digest[:24]}"
        if not self.path.exists():
            try:
                _build(documents, self.path)
            except OSError as error:
                raise InputError(
                    f"The search index cannot be written to {cache}: {error}. Set RUNGWISE_CACHE "
                    "to a folder that can be written."
                ) from error
        self._open()

    def _open(self) -> None:
        tantivy = import_extra("tantivy", "shop")
        self._index: Any = tantivy.Index.open(str(self.path))
        self._english, self._query = _english(tantivy), tantivy.Query
        self._should = tantivy.Occur.Should
        self._searcher: Any = self._index.searcher()

    # Handles of the index cannot be pickled; a worker process opens the folder again.
    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._open()

    def search(self, query: str, count: int = RETURNED) -> list[int]:
        """Return the indices of matching documents, best first; ties in document order.

        Any text is a query: there are no operators.
        """
        query_type, schema = self._query, self._index.schema
        # Terms are built directly: the query parser would read signs in a user's text as operators.
        terms = [query_type.term_query(schema, "text", t) for t in self._english.analyze(query)]
        if not terms:
            return []
        any_term = query_type.boolean_query([(self._should, term) for term in terms])
        hits = self._searcher.search(any_term, count, count=False)
        ranked = hits.hits
        places = self._searcher.fast_field_values("place", [address for _, address in ranked])
        return [p for _, p in sorted((-s, p) for (s, _), p in zip(ranked, places, strict=True))]


_FORMAT = "1"
"""Changes when documents are indexed differently."""


def _english(tantivy: Any) -> Any:
    """Return the original engine's analyser: lower case, no stop words, Porter's stems."""
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(
        tantivy.Filter.lowercase()
    )
    meaning = words.filter(tantivy.Filter.stopword("english"))
    return meaning.filter(tantivy.Filter.stemmer("english")).build()


def _build(documents: Sequence[str], path: Path) -> None:
    tantivy = import_extra("tantivy", "shop")
    schema = tantivy.SchemaBuilder()
    # Frequencies without positions: there are no phrase queries, and the index is smaller.
    schema.add_text_field("text", tokenizer_name="english", index_option="freq")
    schema.add_integer_field("place", fast=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder as the target, because a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as folder:
        unfinished = Path(folder) / "index"
        unfinished.mkdir()
        index = tantivy.Index(schema.build(), path=str(unfinished))
        index.register_tokenizer("english", _english(tantivy))
        # One thread and room enough for one segment: the same index every time.
        writer = index.writer(heap_size=256_000_000, num_threads=1)
        for number, text in enumerate(documents):
            writer.add_document(tantivy.Document(text=text, place=number))
        writer.commit()
        writer.wait_merging_threads()
        try:
            unfinished.rename(path)
        except OSError:
            if not path.exists():  # else another process was first, with the same index
                raise
