# pyright: basic
"""The search engine: any text is a query, and an index is built once."""

import pickle

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from hypothesis import given
from hypothesis import strategies as st

from envs.shopping import search
from envs.shopping.search import Tantivy
from rungwise.validation import InputError

DOCUMENTS = ["red cotton shirt", "running shoes", "blue shirt", "red shoe", "red cotton shirt"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Tantivy(DOCUMENTS, tmp_path_factory.mktemp("index"))


def test_best_match_comes_first_and_ties_in_order(engine):
    assert engine.search("red cotton") == [0, 4, 3]
    assert engine.search("red cotton", count=2) == [0, 4]


def test_words_are_stemmed_and_stop_words_mean_nothing(engine):
    assert set(engine.search("run a shoe with the")) == {1, 3}
    assert engine.search("with the and of") == []


@given(st.text())
def test_any_text_is_a_query(engine, text):
    assert all(0 <= place < len(DOCUMENTS) for place in engine.search(text))


@pytest.mark.parametrize(
    "query", ["price <= 40 (a OR red", "color:red", '"red', "RED AND NOT", "red^"]
)
def test_no_text_is_an_operator(engine, query):
    assert 0 in engine.search(query) and 3 in engine.search(query)


def test_an_index_is_built_once_and_named_after_its_content(tmp_path, monkeypatch):
    first = Tantivy(DOCUMENTS, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(search, "_build", lambda *_: pytest.fail("built twice"))
        assert Tantivy(DOCUMENTS, tmp_path).search("blue") == first.search("blue")
    assert Tantivy(DOCUMENTS[:2], tmp_path).path != first.path
    assert len(list(tmp_path.iterdir())) == 2  # and nothing unfinished is left


def test_who_comes_second_takes_the_first_ones_index(tmp_path):
    first = Tantivy(DOCUMENTS, tmp_path)
    search._build(DOCUMENTS, first.path)
    assert first.search("blue") == [2] == Tantivy(DOCUMENTS, tmp_path).search("blue")


def test_an_engine_travels_by_its_path(engine):
    assert len(pickle.dumps(engine)) < 1000
    assert pickle.loads(pickle.dumps(engine)).search("blue") == [2]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*Set RUNGWISE_CACHE"):
        Tantivy(DOCUMENTS, tmp_path / "file")
