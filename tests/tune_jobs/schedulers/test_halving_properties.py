# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Figures and sentences of every decision at a rung, case by case."""

import math

import pytest

from rungwise.run_log.events import DecisionRow, EndRow, ResultRow
from rungwise.run_log.trial_outcome import CONTINUED
from tune_jobs.schedulers.rung import Rung
from tune_jobs.schedulers.successive_halving import Bracket


def rungs_of(count, levels=(3, 9), mode="max", factor=3):
    return Bracket(levels, mode, factor, [f"{i:02d}" for i in range(count)])


def arrived(rungs, scores, iteration=3, first=0):
    return [
        rungs.report_score(f"{first + i:02d}", iteration, score) for i, score in enumerate(scores)
    ]


def test_rung_ranks_the_earlier_of_equal_scores_first():
    rung = Rung(3, "max")
    for trial, score in (("a", 1.0), ("b", 2.0), ("c", math.nan), ("d", 2.0), ("e", -1.0)):
        rung.enter(trial, score)
    assert [rung.rank(trial) for trial in "abcde"] == [3, 1, 5, 2, 4]
    assert [trial for _, trial in rung.waiting] == ["b", "d", "a", "e"]
    assert rung.score("a") == 1.0 and math.isnan(rung.score("c"))
    assert [rung.cut(allowed) for allowed in (1, 2, 3, 4, 9)] == [2, 2, 1, -1, -1]
    rung.remove_waiting("d")
    assert [trial for _, trial in rung.waiting] == ["b", "a", "e"]
    assert rung.rank("a") == 3, "who has left is still compared with"


def test_where_low_is_good_the_lowest_score_is_first():
    rungs = rungs_of(9, mode="min")
    decisions = arrived(rungs, [2.0, 1.0, 3.0, 4.0])
    assert [(row.rank, row.of) for row in decisions] == [(1, 1), (1, 2), (3, 3), (4, 4)]
    assert rungs.find_promotable() == "01"
    assert rungs.promote("01").cut == 1.0
    (end,) = rungs.end_hopeless()
    assert (end.trial, end.keep, end.waits, end.cut, end.score) == ("03", False, False, 3.0, 4.0)
    assert end.sentence == (
        "rung 3: mean 4 is above 3, the cut for the best 3 of 9 when 4 of them had a score there"
    )


def test_a_report_before_the_first_rung_is_no_decision():
    rungs = rungs_of(3)
    assert rungs.report_score("00", 2, 1.0) is None and rungs.next_rung_index["00"] == 0
    assert rungs.report_score("00", 3, 1.0).rung == 3
    assert rungs.report_score("00", 3, 1.0) is None, "it waits already"
    assert rungs.report_score("of another bracket", 3, 1.0) is None


def test_report_beyond_several_rungs_waits_at_the_last():
    rungs = rungs_of(4, levels=(1, 3, 9))
    assert rungs.report_score("00", 5, 7.0).rung == 3
    assert [len(rung.keys) for rung in rungs.rungs] == [0, 1, 0]
    assert [len(rung.waiting) for rung in rungs.rungs] == [0, 1, 0]
    assert rungs.waiting_rung_index == {"00": 1} and "00" not in rungs.next_rung_index
    assert rungs.report_score("01", 1, 8.0).rank == 1
    assert rungs.report_score("02", 1, 6.0).rank == 2, "the first one was never compared there"


def test_a_lost_score_counts_among_those_seen_and_waits_nowhere():
    rungs = rungs_of(4, levels=(1, 3))
    arrived(rungs, [1.0], iteration=1)
    lost = rungs.report_score("01", 3, math.nan)
    assert (lost.keep, lost.waits, lost.rung, lost.cut) == (False, False, 3, None)
    assert lost.sentence == "rung 3: the score is nan, which cannot be compared"
    assert [len(rung.keys) for rung in rungs.rungs] == [1, 1]
    assert (lost.rank, lost.of) == (1, 1)
    assert "01" not in rungs.next_rung_index and "01" not in rungs.waiting_rung_index
    assert rungs.report_score("02", 1, 0.0).sentence.endswith("number 2 of 2, too few to compare")


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (2, "rung 3: mean 1 is the best of 2, and no other trial can come"),
        (3, "rung 3: mean 2 is among the best of 3"),
        (6, "rung 3: mean 5 is among the best 2 of 6"),
    ],
)
def test_a_promotion_says_among_how_many(count, sentence):
    rungs = rungs_of(count)
    arrived(rungs, [float(i) for i in range(count)])
    best = rungs.find_promotable()
    row = rungs.promote(best)
    assert row.sentence == sentence and row.rank == 1 and row.keep and not row.waits
    assert row.cut == (count - 2.0 if count == 6 else count - 1.0)
    assert rungs.next_rung_index == {best: 1}


def test_the_highest_rung_with_someone_to_go_on_is_served_first():
    rungs = rungs_of(9, levels=(1, 3), factor=2)
    arrived(rungs, [5.0, 4.0, 3.0, 2.0], iteration=1)
    for trial in ("00", "01"):
        assert rungs.find_promotable() == trial
        rungs.promote(trial)
    arrived(rungs, [9.0, 8.0], iteration=1, first=4)
    assert rungs.find_promotable() == "04", "at the higher rung two are needed to choose one"
    rungs.report_score("00", 3, 1.0)
    assert rungs.find_promotable() == "04"
    rungs.report_score("01", 3, 2.0)
    assert rungs.find_promotable() == "01"
    rungs.promote("01")
    assert rungs.find_promotable() == "04"


def test_how_many_may_still_come_decides_who_is_hopeless():
    rungs = rungs_of(6, levels=(3, 9), factor=2)
    arrived(rungs, [0.0, 1.0, 2.0])
    assert rungs.end_hopeless() == [], "three of six may go on"
    rungs.remove_trial("05")
    assert [row.trial for row in rungs.end_hopeless()] == ["00"], "two of five"
    rungs.remove_trial("04")
    assert rungs.end_hopeless() == [], "two of four"
    rungs.remove_trial("03")
    assert [row.trial for row in rungs.end_hopeless()] == ["01"], "one of three"
    assert rungs.find_promotable() == "02"


def test_the_second_rung_expects_those_who_may_pass_the_first():
    rungs = rungs_of(9, levels=(3, 9), factor=3)
    assert rungs._count_expected() == [9, 3]
    arrived(rungs, [float(i) for i in range(6)])
    assert rungs._count_expected() == [3, 3]
    for trial in ("05", "04"):
        rungs.promote(trial)
    assert rungs._count_expected() == [3, 5], "two on their way, and three more at most"
    rungs.report_score("05", 9, 1.0)
    assert rungs.rungs[1].rank("05") == 1
    assert rungs._count_expected() == [3, 4]
    for row in rungs.end_hopeless():
        assert row.rung == 3
    for trial in ("06", "07", "08"):
        rungs.remove_trial(trial)
    assert rungs._count_expected()[0] == 0


def test_who_leaves_is_forgotten_where_they_stand():
    rungs = rungs_of(3, levels=(3,))
    arrived(rungs, [1.0, 2.0])
    rungs.remove_trial("00")
    rungs.remove_trial("00")
    rungs.remove_trial("unknown")
    assert rungs.waiting_rung_index == {"01": 0} and rungs.next_rung_index == {"02": 0}
    assert [trial for _, trial in rungs.rungs[0].waiting] == ["01"]
    assert rungs._num_heading_for_rung == [1, 0]


def row(trial, rung=3, score=1.0, keep=True, waits=True):
    return DecisionRow(
        trial=trial, iteration=rung, rung=rung, score=score, cut=None, rank=1, of=1,
        keep=keep, waits=waits, sentence="",
    )  # fmt: skip


def test_a_diverged_trial_is_recalled_as_one_that_lost_its_rung():
    rungs = rungs_of(6)
    diverged = ResultRow(
        trial="03", iteration=3, score=None, seconds=1.0, env_steps=8, metrics={"nonfinite": 2}
    )
    rungs.restore_decisions([diverged, row("03", score=None, keep=False, waits=False)])
    assert math.isnan(rungs.rungs[0].score("03")) and "03" not in rungs.next_rung_index


def test_recalled_decisions_put_every_trial_where_it_was():
    rungs = rungs_of(6)
    rungs.restore_decisions([row("00"), row("01", score=2.0), row("02", keep=False, waits=False)])
    rungs.restore_decisions([row("03", score=None, keep=False, waits=False)])
    assert rungs.waiting_rung_index == {"00": 0, "01": 0} and set(rungs.next_rung_index) == {
        "04",
        "05",
    }
    assert math.isnan(rungs.rungs[0].score("03"))
    rungs.restore_decisions([row("01", score=2.0, waits=False)])
    assert rungs.next_rung_index["01"] == 1 and rungs.waiting_rung_index == {"00": 0}
    rungs.restore_decisions([row("01", rung=9, score=2.5), row("01", score=2.0, waits=False)])
    assert rungs.waiting_rung_index == {"00": 0, "01": 1}, (
        "a promotion from a rung left long ago is no news"
    )


def test_recalled_ends_count_unless_the_trial_goes_on():
    rungs = rungs_of(3)
    going_on = sorted(CONTINUED)[0]
    rungs.restore_decisions([EndRow(trial="00", iteration=1, reason=going_on)])
    assert set(rungs.next_rung_index) == {"00", "01", "02"}
    rungs.restore_decisions([EndRow(trial="00", iteration=1, reason="health")])
    assert set(rungs.next_rung_index) == {"01", "02"}
