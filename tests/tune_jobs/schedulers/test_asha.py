# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""Trials that wait at a rung are paused, go on from there and end there, also after a crash."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler
from synthetic_sweep import result

from rungwise.run_log.events import EndRow
from rungwise.run_log.stop_requests import list_stop_requests, request_stop
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.brackets import make_brackets
from tune_jobs.session.tune_recorder import TuneRecorder
from tune_jobs.stopping.sweep_health import SweepHealth

NAMES = ["00", "01", "02", "03", "04", "05"]
CONTINUE, PAUSE, STOP = TrialScheduler.CONTINUE, TrialScheduler.PAUSE, TrialScheduler.STOP


class Tune:
    """As much of Tune's controller as the scheduler asks for."""

    def __init__(self, asha, names=NAMES):
        self.asha, self.trials = asha, {}
        for name in names:
            trial = SimpleNamespace(config={"plan": {"trial": name}}, status=TuneTrial.RUNNING)
            trial.is_finished = lambda t=trial: t.status == TuneTrial.TERMINATED
            trial.should_recover = lambda: True
            self.trials[name] = trial
            asha.on_trial_add(self, trial)

    def report(self, name, iteration, score):
        """A result; the trial is paused or stopped at once if it is to be."""
        result = {"trial": name, "iteration": iteration, "score": score, "metrics": "{}"}
        said = self.asha.on_trial_result(self, self.trials[name], result)
        states = {PAUSE: TuneTrial.PAUSED, STOP: TuneTrial.TERMINATED}
        self.trials[name].status = states.get(said, TuneTrial.RUNNING)
        return said

    def stop_trial(self, trial):
        trial.status = TuneTrial.TERMINATED

    def chosen(self):
        trial = self.asha.choose_trial_to_run(self)
        return trial and trial.config["plan"]["trial"]

    def status(self, name):
        return self.trials[name].status


@pytest.fixture
def asha():
    return RecordedASHA(make_brackets(NAMES, [3, 9], "max", 3, 1))


def test_paused_trial_continues_once_it_is_among_the_best(asha):
    tune = Tune(asha)
    assert tune.report("00", 2, 9.0) == CONTINUE
    assert [tune.report(n, 3, s) for n, s in (("00", 2.0), ("01", 1.0))] == [PAUSE, PAUSE]
    assert tune.chosen() is None
    assert tune.report("02", 3, 0.5) == STOP, "two of six go on, and two are better"
    assert tune.chosen() == "00"
    assert tune.chosen() == "00", "asked again, the answer is the same"
    tune.trials["00"].status = TuneTrial.RUNNING
    assert tune.chosen() is None
    assert [verdict.kind for verdict in asha.verdicts] == ["pause", "pause", "stop", "promote"]


def test_a_trial_without_a_score_goes_on_past_its_rung(asha):
    tune = Tune(asha)
    tune.report("01", 3, 1.0)
    assert [tune.report("00", i, None) for i in range(1, 8)] == [CONTINUE] * 7
    assert tune.report("02", 3, float("nan")) == STOP, "diverged is not undecided"
    assert tune.report("00", 8, 0.5) == PAUSE
    (row,) = asha.take_rows()[-1:]
    assert (row.trial, row.rung, row.iteration, row.waits) == ("00", 3, 8, True)


def test_who_is_the_best_on_arrival_is_not_paused_at_all(asha):
    tune = Tune(asha)
    tune.report("00", 3, 1.0)
    tune.report("01", 3, 1.5)
    assert tune.report("02", 3, 2.0) == CONTINUE
    assert tune.report("02", 4, 2.0) == CONTINUE


def test_who_waits_in_vain_ends_paused_with_the_reason(asha):
    tune = Tune(asha)
    for name, score in (("00", 1.0), ("01", 2.0), ("02", 3.0)):
        tune.report(name, 3, score)
    tune.chosen()
    assert tune.status("00") == TuneTrial.TERMINATED
    *_, decision, end = asha.take_rows()
    assert (decision.trial, decision.rung, decision.cut, decision.keep) == ("00", 3, 2.0, False)
    assert (end.trial, end.reason, end.sentence) == ("00", "asha", decision.sentence)
    assert end.sentence == "stopped at iteration 3: 1, cut-off 2 (top 2 of 6 continue)"


def test_trial_that_died_before_its_pause_waits_again(asha):
    tune = Tune(asha)
    tune.report("00", 3, 1.0)
    tune.trials["00"].status = TuneTrial.ERROR
    asha.on_trial_error(tune, tune.trials["00"])
    tune.trials["00"].status = TuneTrial.RUNNING  # from its checkpoint of iteration 1
    assert tune.report("00", 2, 1.0) == CONTINUE
    assert tune.report("00", 3, 1.0) == PAUSE


def test_a_trial_ended_while_waiting_stops_at_its_next_report(asha):
    tune = Tune(asha)
    tune.report("00", 3, 1.0)
    tune.trials["00"].status = TuneTrial.RUNNING  # restarted: its process died before the pause
    for name, score in (("01", 2.0), ("02", 3.0)):
        tune.report(name, 3, score)
    tune.chosen()
    assert tune.report("00", 3, 1.0) == STOP


def test_a_trial_that_failed_for_good_is_not_waited_for(asha):
    tune = Tune(asha)
    tune.report("00", 3, 1.0)
    for name in NAMES[1:]:
        tune.trials[name].should_recover = lambda: False
        asha.on_trial_error(tune, tune.trials[name])
    assert tune.chosen() == "00"


def test_a_waiting_trial_stops_at_once_when_asked_to(asha, tmp_path):
    tune, rows = Tune(asha), []
    sweep = SweepHealth(load_job("cartpole"), [result("00", 3, 1.0)])
    recorder = TuneRecorder(tmp_path, asha, sweep, rows.append, num_trials=6)
    tune.report("00", 3, 1.0)
    for name in ("00", "01"):
        request_stop(tmp_path, name)
    recorder.on_step_end(0, [])
    assert tune.chosen() is None and tune.status("00") == TuneTrial.TERMINATED
    ends = [(row.trial, row.iteration, row.reason) for row in rows if isinstance(row, EndRow)]
    assert ends == [("00", 3, "stopped")]
    assert list_stop_requests(tmp_path) == ["01"], "it runs, and stops after its next result"


def test_resume_starts_a_waiting_trial_only_when_promoted(asha):
    tune = Tune(asha)
    for name, score in (("00", 2.0), ("01", 1.0)):
        tune.report(name, 3, score)
    again = RecordedASHA(make_brackets(NAMES, [3, 9], "max", 3, 1))
    again.restore_decisions([*asha.take_rows(), EndRow(trial="05", iteration=2, reason="health")])
    assert again.is_waiting("00") and again.is_waiting("01") and not again.is_waiting("02")
    later = Tune(again, ["02", "03", "04"])
    assert again.promote_from_earlier_session() is None
    later.report("02", 3, 0.5)
    assert again.promote_from_earlier_session() == "00"
    assert not again.is_waiting("00") and not again.done
