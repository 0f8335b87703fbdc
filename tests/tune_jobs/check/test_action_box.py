# pyright: basic
"""A box that is much wider than its useful part is told from one that is not."""

import pytest
from checks import check, get_severities

from tune_jobs.check.action_box import find_useful_scale

WIDE = "action_box_too_wide"


@pytest.mark.parametrize(("world", "best"), [("Wide", "middle"), ("OneSided", "lowest")])
def test_a_box_a_hundred_times_too_wide_is_named(world, best):
    answer = check(f"Sick{world}-v0", "headroom", share=1)
    assert get_severities(answer)[WIDE] == "warn"
    assert answer["figures"]["headroom"]["best"] == f"always {best}"
    fractions = answer["figures"]["headroom"]["useful_fractions"]
    assert fractions["1"] <= 0.05 and fractions["0.1"] < 0.15 and fractions["0.01"] > 0.2
    assert "within about 0.01 of it" in answer["findings"][0]["evidence"]


@pytest.mark.parametrize("world", ["Spread", "Idle"])
def test_a_box_is_not_too_wide_because_standing_still_is_good(world):
    answer = check(f"Sick{world}-v0", "headroom", share=1)
    assert set(get_severities(answer)) == {"constant_action_beats_random"}
    fractions = answer["figures"]["headroom"]["useful_fractions"]
    # Without any use at a smaller scale, nothing is known of the box.
    assert list(fractions) == ["1"] if world == "Spread" else set(fractions.values()) == {0.0}


@pytest.mark.parametrize(
    ("fractions", "scale"),
    [
        ({}, None),
        ({1.0: 0.3}, None),
        ({1.0: 0.03, 0.1: 0.3}, None),
        ({1.0: 0.0, 0.1: 0.03, 0.01: 0.3}, 0.01),
        ({1.0: 0.0, 0.1: 0.0, 0.01: 0.0, 1e-3: 0.0, 1e-4: 0.1}, None),
    ],
)
def test_the_useful_scale_is_the_first_at_which_changes_bring_more(fractions, scale):
    assert find_useful_scale(fractions) == scale


def test_too_little_time_says_nothing_of_the_box():
    answer = check("SickWide-v0", "headroom", share=1, look_s=0.05)
    assert WIDE not in get_severities(answer)
