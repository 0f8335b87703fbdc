# pyright: basic
"""The parameters of QuietThoughts."""

import pytest

from envs.thoughts.corpus import PlainText, Problems
from envs.thoughts.params import Params
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"task": "text"},
            "text names the file of task='text', but the task is 'text' and text is",
        ),
        ({"text": "a.txt"}, "give both or neither"),
        ({"modulus": 1}, r"modulus must be in \[2, 100\], but it is 1"),
        ({"longest": 0}, r"longest must be in \[1, 32\], but it is 0"),
        ({"task": "products"}, "one of 'sums', 'permutations', 'text'"),
    ],
)
def test_wrong_fields_are_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        Params(**fields)


def test_the_task_chooses_the_corpus(tmp_path):
    sums, permutations = Params(modulus=7).corpus, Params(task="permutations", degree=4).corpus
    assert isinstance(sums, Problems) and isinstance(permutations, Problems)
    # Seven residues, and the 24 permutations of four elements.
    assert len(permutations.words) - len(sums.words) == 24 - 7
    (tmp_path / "a.txt").write_text("the quick brown fox " * 30)
    assert isinstance(Params(task="text", text=str(tmp_path / "a.txt")).corpus, PlainText)
