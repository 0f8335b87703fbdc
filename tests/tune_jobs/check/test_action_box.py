# pyright: basic
"""A box that is much wider than its useful part is told from one that is not."""

import pytest
from checks import check, get_severities

WIDE = "action_box_too_wide"


@pytest.mark.parametrize(("world", "best"), [("Wide", "middle"), ("OneSided", "lowest")])
def test_a_box_a_hundred_times_too_wide_is_named(world, best):
    answer = check(f"Sick{world}-v0", "headroom", share=1)
    assert get_severities(answer)[WIDE] == "warn"
    assert answer["figures"]["headroom"]["best"] == f"always {best}"
    evidence = next(f["evidence"] for f in answer["findings"] if f["symptom"] == WIDE)
    assert "within about 0.01 of it" in evidence


@pytest.mark.parametrize("world", ["Spread", "Idle"])
def test_a_box_is_not_too_wide_because_standing_still_is_good(world):
    answer = check(f"Sick{world}-v0", "headroom", share=1)
    assert set(get_severities(answer)) == {"constant_action_beats_random"}


def test_too_little_time_says_nothing_of_the_box():
    answer = check("SickWide-v0", "headroom", share=1, look_s=0.05)
    assert WIDE not in get_severities(answer)
