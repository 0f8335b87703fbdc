# pyright: basic, reportArgumentType=false
"""Schedulers on nodes that come and go: what interruptions cost, and that sweeps end soundly."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from benchmarks import spot, spot_sweeps
from benchmarks.landscape_tables import Table, Trial
from benchmarks.spot import SPOT_PRICE, WAYS, Case, make_sweep, measure
from benchmarks.spot_sweeps import (
    ITERATION_S,
    ITERATIONS,
    ON_DEMAND,
    START_S,
    Node,
    SpotTrial,
    Sweep,
    Trace,
)
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

TRIALS, NODES = 24, 5
FLAKY = Trace((np.random.default_rng(5).random(400) > 0.15).astype(int), 70.0)
"""Up for eight minutes on average, a trial trains for up to 34."""


def make_trials():
    """Trials whose curves do not cross: that with the largest setting is the best."""
    order = np.random.default_rng(1).permutation(TRIALS).tolist()
    points = range(1, 11)
    return [
        Trial(
            f"{i:02d}", setting, [SimpleNamespace(iteration=k, score=k * setting) for k in points]
        )
        for i, setting in enumerate(order)
    ]


def run(way, interval=5, trace=FLAKY, seed=0):
    sweep = make_sweep(Case("", [trace], 1.0, way, interval), make_trials(), NODES, [seed])
    sweep.run()
    return sweep


def sum_useful_s(sweep):
    return sum(t.reached for t in sweep.trials) * ITERATION_S + sweep.starts * START_S


@pytest.mark.parametrize("way", WAYS)
def test_nodes_that_stay_lose_no_work(way):
    sweep = run(way, trace=ON_DEMAND)
    assert sweep.losses == []
    assert sweep.busy_s == pytest.approx(sum_useful_s(sweep))
    assert sweep.paid_s == pytest.approx(NODES * sweep.now)


@pytest.mark.parametrize(("way", "interval"), itertools.product(WAYS, (1, 5, 20)))
def test_an_interruption_costs_at_most_an_interval_and_a_start(way, interval):
    sweep = run(way, interval)
    most = interval * ITERATION_S + START_S
    assert len(sweep.losses) > 10 and 0 < max(sweep.losses) <= most
    assert sweep.busy_s == pytest.approx(sum_useful_s(sweep) + sum(sweep.losses))
    assert sweep.busy_s < sweep.paid_s < NODES * sweep.now


@pytest.mark.parametrize("interval", [1, 5])
def test_an_interruption_costs_half_an_interval_and_a_start_on_average(interval):
    losses = np.concatenate([run("Rungwise", interval, seed=seed).losses for seed in range(8)])
    error = losses.std() / len(losses) ** 0.5
    assert losses.mean() - 3 * error <= interval * ITERATION_S / 2 + START_S


@pytest.mark.parametrize("way", WAYS)
def test_sweep_ends_with_the_best_trial_in_full(way):
    quiet, flaky = run(way, trace=ON_DEMAND), run(way, interval=20)
    best = max(range(TRIALS), key=lambda i: make_trials()[i].setting)
    for sweep in (quiet, flaky):
        assert all(t.status == TuneTrial.TERMINATED for t in sweep.trials)
        assert {t.reached for t in sweep.trials} == {20, 40, 80, ITERATIONS}
        assert sweep.trials[best].reached == ITERATIONS
        assert sum(t.reached > 20 for t in sweep.trials) >= TRIALS // 3
    assert flaky.now > quiet.now


def test_preempted_trial_repeats_from_its_checkpoint():
    away = 30 + 7 * 20 + 5.0
    node = Node(iter([(0.0, True), (away, False), (1000.0, True)]))
    trial = SpotTrial("0", [0.0] * ITERATIONS)
    sweep = Sweep([trial], FIFOScheduler(), [node], interval=5)
    sweep.run()
    assert sweep.losses == [2 * 20 + 5 + 30]
    assert sweep.now == 1000 + 30 + 95 * 20
    assert sweep.paid_s == away + 30 + 95 * 20
    assert trial.ended == (sweep.now, sweep.paid_s)


def test_trial_preempted_in_its_start_loses_that_part():
    node = Node(iter([(0.0, True), (12.0, False), (60.0, True)]))
    sweep = Sweep([SpotTrial("0", [0.0] * ITERATIONS)], FIFOScheduler(), [node], interval=5)
    sweep.run()
    assert sweep.losses == [12.0] and sweep.now == 60 + 30 + 100 * 20


def test_nodes_that_never_stay_long_enough_are_named(monkeypatch):
    monkeypatch.setattr(spot_sweeps, "MOST_DAYS", 1)
    with pytest.raises(RuntimeError, match="24 trials have not ended"):
        run("Rungwise", interval=20, trace=Trace(np.array([1, 0]), 150.0))


def test_followed_instance_is_up_as_its_trace_counts():
    trace = Trace(np.array([0, 2, 1, 1, 3, 0, 0, 2]), 10.0)
    assert trace.hazard == pytest.approx(4 * 3600 / 90)
    laps = [(trace.counts > k).tolist() for k in range(3)]
    rotations = [[lap[i:] + lap[:i] for i in range(8)] for lap in laps]
    seen = set()
    for seed in range(40):
        follower = trace.follow(np.random.default_rng(seed))
        changes = list(itertools.takewhile(lambda change: change[0] <= 150, follower))
        assert all(is_up != was for (_, was), (_, is_up) in itertools.pairwise(changes))
        ticks = [[up for at, up in changes if at <= 10 * i][-1] for i in range(16)]
        assert ticks[:8] == ticks[8:]
        seen |= {k for k in range(3) if ticks[:8] in rotations[k]}
        assert any(ticks[:8] in rotation for rotation in rotations)
    assert seen == {0, 1, 2}


def test_same_seed_gives_the_same_figures():
    curves = np.random.default_rng(0).normal(size=(30, 3, 10)).cumsum(-1)
    table = Table("t", curves, ["lr"], np.array([[str(i)] for i in range(30)]))
    case = Case("all", [FLAKY], SPOT_PRICE, "Rungwise", 5)
    first, again, other = (measure(case, table, (20, 4), (0, seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert first["dollars"] >= first["best_dollars"] > 0 <= first["regret"] <= 2


@pytest.mark.parametrize("kept", ["", "tables"])
def test_absent_data_is_named(kept, tmp_path, monkeypatch, capsys):
    if kept:
        np.savez(tmp_path / "a.npz", performance=np.zeros((1, 1, 10)), names=[], settings=[[]])
    traces = tmp_path / "no_traces.npz"
    monkeypatch.setattr(sys, "argv", ["spot", "--data", str(tmp_path), "--traces", str(traces)])
    with pytest.raises(SystemExit):
        spot.main()
    assert (f"{traces} does not" if kept else "name their folder") in capsys.readouterr().err
