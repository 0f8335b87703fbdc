# pyright: basic
"""``rungwise play``: pages, typed actions, and those of a rule or a policy."""

import pytest
from command_line import answer, rungwise

PLAY = ("play", "shop", "--env-kwargs", "products", "200", "goals", "50")


def test_who_types_numbers_and_words_shops(tmp_path):
    done = rungwise(
        *PLAY,
        "--goal",
        "7",
        cwd=tmp_path,
        typed="1\n99\nclick[features]\nsearch[red]\nclick[back to search]\nq\n",
    )
    assert done.returncode == 0, done.stderr
    assert "Type a number from 1 to" in done.stdout
    assert "click[features] does nothing here." in done.stdout
    assert "step 5 of 15" in done.stdout and "step 6 of 15" not in done.stdout
    assert done.stdout.rstrip().endswith("Nothing was bought: 0 of 100 points.")


def test_the_end_of_what_is_typed_is_the_end_of_the_visit(tmp_path):
    done = rungwise(*PLAY, "--json", cwd=tmp_path, typed="1\n")
    told = answer(done)
    assert len(told["actions"]) == 1 and not told["bought"]


def test_the_oracle_can_be_watched_buying_what_is_asked_for(tmp_path):
    done = rungwise(*PLAY, "--watch", "oracle", "--goal", "3", "--json", cwd=tmp_path)
    told = answer(done)
    assert told["actions"][-1] == "click[buy now]"
    assert told["bought"] and told["success"] and told["score"] == 100
    assert "→ click[buy now]" not in done.stdout


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("play", "causal"), "causal has no pages"),
        ((*PLAY, "--watch", "oracel"), "did you mean oracle?"),
        ((*PLAY, "--goal", "50"), "must be a number from 0 to 49"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(asked, sentence, tmp_path):
    done = rungwise(*asked, cwd=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr
