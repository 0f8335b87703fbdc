# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""The queue of a session: promoted trials, planned ones, proposals, and the best once more."""

from types import SimpleNamespace

from ray.tune.search import Searcher

from tune_jobs.jobs.trials import TrialPlan
from tune_jobs.schedulers.trial_queue import TrialQueue

NO_REPEATS = SimpleNamespace(num_left=0)


def ignore(plan, repeats):
    pass


def make_plan(trial):
    return TrialPlan(trial, {}, "")


class Scheduler:
    """Trials that wait at a rung since an earlier session, and what is promoted next."""

    def __init__(self, waiting=(), done=True):
        self.waiting, self.promoted, self.done = waiting, None, done

    def is_waiting(self, trial):
        return trial in self.waiting

    def promote_from_earlier_session(self):
        return self.promoted


def suggest(queue):
    suggestion = queue.suggest("tune's own id")
    return suggestion["plan"]["trial"] if isinstance(suggestion, dict) else suggestion


def test_planned_trials_are_started_in_order_and_then_it_ends():
    queue = TrialQueue(map(make_plan, ["00", "01"]), Scheduler(), None, NO_REPEATS, ignore)
    assert [suggest(queue) for _ in range(3)] == ["00", "01", Searcher.FINISHED]


def test_a_promoted_trial_comes_before_new_ones():
    scheduler = Scheduler(waiting=["00"])
    queue = TrialQueue(map(make_plan, ["00", "01", "02"]), scheduler, None, NO_REPEATS, ignore)
    assert suggest(queue) == "01", "00 waits at its rung"
    scheduler.promoted = "00"
    assert suggest(queue) == "00"
    assert suggest(queue) == "02", "00 runs only once"


def test_the_queue_stays_open_while_a_trial_waits():
    scheduler = Scheduler(waiting=["00"], done=False)
    queue = TrialQueue([make_plan("00")], scheduler, None, NO_REPEATS, ignore)
    assert suggest(queue) is None
    scheduler.done = True
    assert suggest(queue) == Searcher.FINISHED


def test_proposals_follow_the_plans_and_are_recorded():
    sampler = SimpleNamespace(num_left=1, propose=lambda: make_plan("01"))
    recorded = []

    def record(plan, repeats):
        recorded.append(plan)

    queue = TrialQueue([make_plan("00")], Scheduler(), sampler, NO_REPEATS, record)
    assert [suggest(queue), suggest(queue)] == ["00", "01"]
    assert [plan.trial for plan in recorded] == ["01"]
    sampler.num_left = 0
    assert suggest(queue) == Searcher.FINISHED


class TwoRepeats:
    num_left = 2

    def choose(self):
        self.num_left = 0
        return [(make_plan("01"), "00"), (make_plan("02"), "00")]


def test_repeats_start_when_all_other_trials_have_ended():
    scheduler, recorded = Scheduler(done=False), []
    queue = TrialQueue(
        [make_plan("00")], scheduler, None, TwoRepeats(), lambda *a: recorded.append(a)
    )
    assert [suggest(queue), suggest(queue)] == ["00", None], "00 runs"
    scheduler.done = True
    assert [suggest(queue) for _ in range(3)] == ["01", "02", Searcher.FINISHED]
    assert [(plan.trial, repeats) for plan, repeats in recorded] == [("01", "00"), ("02", "00")]
