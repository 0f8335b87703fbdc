# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Who waits at a rung, who goes on and who ends."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_jobs.events import EndRow
from tune_jobs.rungs import Rungs, brackets


def rungs_of(count, levels=(3, 9), mode="max", factor=3):
    return Rungs(levels, mode, factor, [f"{i:02d}" for i in range(count)])


def test_the_first_ones_wait_until_there_are_enough_to_tell():
    rungs = rungs_of(9)
    assert rungs.arrive("00", 3, 1.0).sentence == "rung 3: 1 waits: number 1 of 1, too few to tell"
    rungs.arrive("01", 3, 2.0)
    assert rungs.chosen() is None
    said = rungs.arrive("02", 3, 1.5)
    assert (said.keep, said.waits, said.rank, said.of) == (True, True, 2, 3)
    assert said.sentence == "rung 3: 1.5 waits: number 2 of 3, and the best may go on"
    assert rungs.chosen() == "01"
    kept = rungs.promote("01")
    assert (kept.keep, kept.waits, kept.cut) == (True, False, 2.0)
    assert kept.sentence == "rung 3: 2 is among the best of 3"
    assert rungs.chosen() is None, "only one of three goes on"


def test_a_trial_on_its_way_is_never_ended_however_many_overtake_it():
    rungs = rungs_of(9)
    for trial, score in (("00", 3.0), ("01", 2.0), ("02", 1.0)):
        rungs.arrive(trial, 3, score)
    rungs.promote("00")
    for number in range(3, 9):
        rungs.arrive(f"{number:02d}", 3, 10.0 + number)
    assert "00" not in {row.trial for row in rungs.hopeless()}
    assert rungs.arrive("00", 8, 0.0) is None
    assert rungs.arrive("00", 9, 0.0).rung == 9, "it is judged where it comes to"


def test_a_trial_ends_as_soon_as_too_many_are_better_whoever_still_comes():
    rungs = rungs_of(9)
    for number in range(4):
        rungs.arrive(f"{number:02d}", 3, float(number))
    ends = rungs.hopeless()
    # Three of nine can go on at most, and three are better already.
    assert [(row.trial, row.keep, row.cut) for row in ends] == [("00", False, 1.0)]
    assert ends[0].sentence == "rung 3: 0 is below 1, the cut for the best 3 of 9"


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_not_finite_always_loses(score, mode):
    rungs = rungs_of(2, levels=[3], mode=mode)
    lost = rungs.arrive("00", 3, score)
    assert not lost.keep and "cannot be compared" in lost.sentence
    rungs.arrive("01", 3, 1.0)
    assert rungs.chosen() == "01"


def test_when_nobody_else_can_come_the_best_goes_on_however_few_they_are():
    rungs = rungs_of(2)
    rungs.arrive("00", 3, 1.0)
    assert rungs.chosen() is None
    rungs.leave("01")  # it failed
    assert rungs.chosen() == "00"
    said = rungs.promote("00").sentence
    assert said == "rung 3: 1 is the best of 1, and nobody else can come"


def play(rungs, scores, order):
    """Each step the next free worker takes who may go on, or else who comes next."""
    ends, finished, rows = set(), set(), []
    coming = list(order)
    while coming or rungs.heading or rungs.waiting:
        trial = rungs.chosen()
        if trial is not None:
            rows.append(rungs.promote(trial))
        else:
            trial = coming.pop()
        place = rungs.heading[trial]
        if place == len(rungs.levels):
            rungs.leave(trial)
            finished.add(trial)
            rows.append(EndRow(trial=trial, iteration=27, reason="budget"))
        else:
            rows.append(rungs.arrive(trial, rungs.levels[place], scores[trial]))
        rows += (ended := rungs.hopeless())
        ends |= {row.trial for row in ended}
    return finished, ends, rows


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.permutations(range(12)), st.sampled_from(["min", "max"]), st.integers(2, 4))
def test_in_whatever_order_they_come_everyone_ends_and_the_best_is_never_lost(order, mode, factor):
    names = [f"{i:02d}" for i in range(12)]
    rungs = Rungs([1, 3], mode, factor, names)
    scores = {name: float(i) for i, name in enumerate(names)}
    finished, ended, rows = play(rungs, scores, [names[i] for i in order])
    assert finished | ended == set(names) and not finished & ended
    assert ("11" if mode == "max" else "00") in finished
    seen = {row.trial for row in rows if isinstance(row, EndRow) or row.rung == 3}
    assert len(seen) >= 12 // factor, "as many go on as the paper lets"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.permutations(range(9)), st.integers(0, 20))
def test_a_resumed_session_decides_as_the_first_one_would_have(order, cut):
    names = [f"{i:02d}" for i in range(9)]
    scores = {name: float(i) for i, name in enumerate(names)}
    _, _, rows = play(rungs_of(9), scores, [names[i] for i in order])
    once, again = rungs_of(9), rungs_of(9)
    for row in rows[:cut]:
        once.recall([row])
    again.recall(rows[:cut])
    again.recall(rows[:cut])  # what is known already changes nothing
    assert (again.heading, again.waiting) == (once.heading, once.waiting)
    assert again.chosen() == once.chosen()
    rest = [name for name in (names[i] for i in order) if again.heading.get(name) == 0]
    finished = {row.trial for row in rows[:cut] if isinstance(row, EndRow)}
    for trial in [t for t, place in again.heading.items() if place]:
        # Those that were under way arrive first.
        if again.heading[trial] == len(again.levels):
            again.leave(trial)
            finished.add(trial)
        else:
            again.arrive(trial, again.levels[again.heading[trial]], scores[trial])
    finished |= play(again, scores, rest)[0]
    assert not again.heading and not again.waiting, "everyone ends"
    assert "08" in finished, "the best is not lost"


def test_brackets_leave_out_the_lowest_rungs_and_cost_about_the_same():
    names = [f"{i:03d}" for i in range(100)]
    three = brackets(names, [3, 9, 27], "max", 3, 3)
    assert [rungs.levels for rungs in three] == [[3, 9, 27], [9, 27], [27]]
    sizes = [len(rungs.heading) for rungs in three]
    # The weights are 27 / 4, 9 / 3 and 3 / 2.
    assert sizes == [60, 27, 13] and sum(sizes) == 100
    assert three[1].arrive("060", 9, 1.0).sentence.startswith("bracket 2, rung 9: ")
    assert three[0].arrive("060", 9, 1.0) is None, "a trial belongs to one bracket"
