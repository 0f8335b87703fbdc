"""Population based training: the worst trials continue from the best with changed settings.

Jaderberg et al. 2017. All trials wait for each other every ``grace`` iterations; then each of the
worst quarter continues from the checkpoint of one of the best quarter (exploit) with settings near
its settings (explore). Ray's scheduler waits and copies. This class adds what it lacks: settings
stay within the job's search space, a trial whose score is not finite counts as the worst (one
without a score yet is left alone), a trial within the noise of its donors keeps its weights, no
trial waits for one that has ended, a resumed population keeps its rounds, and every exploit is a
row of the log, with the settings that the learner really uses.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining

from rungwise.run_log.events import CheckpointRow, ExploitRow, JobRow, ResultRow, Row
from rungwise.run_log.json_types import parse_metrics
from rungwise.run_log.score_noise import NoiseSource, TrialCurve
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.search_space import perturb_config
from tune_jobs.ray_internals import forget_decision
from tune_jobs.schedulers.rung import NOISE
from tune_jobs.schedulers.sentences import describe_exploit

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

QUANTILE = 0.25
"""Fraction of the trials that are replaced, and fraction that replaces them."""


class RecordedPBT(PopulationBasedTraining):
    """Ray's PBT on the settings of a job; the recorder writes its exploits to the event log.

    Args:
        job: with its metric and mode filled in.
        directory: of the run.
        earlier: the event rows so far.
    """

    def __init__(self, job: Job, directory: Path, earlier: Sequence[Row]) -> None:
        super().__init__(
            time_attr="iteration",
            metric="score",
            mode=job.mode or "max",
            perturbation_interval=job.decision_interval,
            quantile_fraction=QUANTILE,
            custom_explore_fn=_return_unchanged,
            log_config=False,
            # Synchronous: comparing trials at unequal ages would favour the fast ones.
            synch=True,
        )
        self.job, self.directory = job, directory.absolute()
        self._noise = NoiseSource(job.metric, job.seeds)
        self._curves: defaultdict[str, TrialCurve] = defaultdict(TrialCurve)
        """Scores of each trial so far; up to an exploit, those of its donor."""
        self.exploits: dict[str, ExploitRow] = {}
        """The latest exploit of each trial that has not reported since."""
        # A stream per session: with the job's seed alone a resumed run would repeat the draws of
        # the session before it.
        sessions = sum(isinstance(row, JobRow) for row in earlier)
        self.rng = np.random.default_rng([job.seed, sessions])
        reached = 0
        for row in earlier:
            if isinstance(row, ResultRow):
                self._curves[row.trial].add(row.iteration, row.score, row.metrics, self._noise)
            elif isinstance(row, ExploitRow):
                self._continue_curve(row.trial, row.donor, row.iteration)
            elif isinstance(row, CheckpointRow):
                reached = max(reached, row.iteration)
        # Ray counts rounds from 0 in each session. A resumed population, whose checkpoints are of
        # different iterations, is compared at the next round that no trial has reached. A trial
        # passes a round only after it was held, so at most one is left out: that at which a trial
        # waited when it was killed. It would report one iteration later than the others there.
        self._last_round = reached - reached % job.decision_interval
        self._next_perturbation_sync = self._last_round + job.decision_interval

    def take_rows(self, result: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the exploit that a trial's result confirms, and where a resume starts from then.

        PBT decides after a result is written. The row waits for the trial's next result, which
        carries the settings that its learner really uses.
        """
        settings: dict[str, Any] = json.loads(result["took"]) if result else {}
        if not result or not settings or result["trial"] not in self.exploits:
            return []
        row = self.exploits.pop(result["trial"])
        row = replace(row, took=settings, sentence=describe_exploit(row, settings))
        # Until the trial writes its own next one, a resume starts from the donor's checkpoint.
        path, at = row.checkpoint, row.iteration
        start = CheckpointRow(
            trial=row.trial, iteration=at, path=path, best=path, best_iteration=at
        )
        return [row, start]

    def is_waiting(self, trial: str) -> bool:
        """Return that no trial waits for others at a rung."""
        return False

    def withdraw(self, trial: str) -> None:
        """Do nothing: no trial waits."""

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Register a trial, in the round that the population has reached."""
        super().on_trial_add(tune_controller, trial)
        states: dict[Any, Any] = self._trial_state
        states[trial].last_perturbation_time = self._last_round

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Return what Ray decides; remember the score and its noise."""
        metrics = parse_metrics(result["metrics"])
        curve = self._curves[result["trial"]]
        curve.add(result["iteration"], result["score"], metrics, self._noise)
        return super().on_trial_result(tune_controller, trial, result)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return the trial that Ray chooses, after a round in which no result is missing."""
        live, states = tune_controller.get_live_trials(), cast("dict[Any, Any]", self._trial_state)
        due = self._next_perturbation_sync
        if live and all(states[trial].last_train_time >= due for trial in live):
            # The round ends with the result of its last trial. Where that trial has ended instead,
            # all others would wait for ever: one of them reports once more.
            anyone = next(iter(live))
            super().on_trial_result(tune_controller, anyone, states[anyone].last_result)
        return super().choose_trial_to_run(tune_controller)

    def _continue_curve(self, trial: str, donor: str, iteration: int) -> None:
        """Give a trial the scores of its donor up to an iteration: it has that policy then."""
        curve, donated = self._curves[trial], self._curves[donor]
        self._curves[trial] = TrialCurve(
            [s for s in donated.scores if s[0] <= iteration]
            + [s for s in curve.scores if s[0] > iteration],
            [s for s in donated.samples if s[0] <= iteration]
            + [s for s in curve.samples if s[0] > iteration],
            max(donated.stage, curve.stage),
        )

    def _quantiles(self) -> tuple[list[Any], list[Any]]:
        """Return the trials to replace and their donors, of which each must be better."""
        states: dict[Any, Any] = self._trial_state
        # As Ray does, but for the order: it sorts by the score alone, not by the stage before.
        live = [t for t, s in states.items() if not t.is_finished() and s.last_score is not None]
        trials = sorted((t for t in live if not math.isnan(states[t].last_score)), key=self._rank)
        size = min(math.ceil(len(trials) * QUANTILE), len(trials) // 2)
        lower, upper = trials[:size], trials[len(trials) - size :]
        return [t for t in lower if all(self._exceeds_noise(t, donor) for donor in upper)], upper

    def _rank(self, trial: Trial) -> tuple[float, float]:
        """Return the stage of a trial, and its last score there; a diverged one is the worst."""
        score = cast("dict[Any, Any]", self._trial_state)[trial].last_score
        stage = self._curves[trial.config["plan"]["trial"]].stage
        return (stage if math.isfinite(score) else -math.inf), score

    def _exceeds_noise(self, trial: Trial, donor: Trial) -> bool:
        states: dict[Any, Any] = self._trial_state
        if (stage := self._rank(trial)[0]) != (other := self._rank(donor)[0]):
            return stage < other
        noise = math.hypot(*(self._estimate_error(t) for t in (trial, donor)))
        return states[donor].last_score - states[trial].last_score > NOISE * noise

    def _estimate_error(self, trial: Trial) -> float:
        """Return the standard error of a trial's last score; 0 where it is not known."""
        curve = self._curves[trial.config["plan"]["trial"]]
        last = curve.scores[-1][0] if curve.scores else 0
        return curve.estimate_standard_error(last) or 0.0

    def _save_trial_state(
        self, state: Any, time: int, result: dict[str, Any], trial: Trial
    ) -> float:
        name = trial.config["plan"]["trial"]
        # All trials are compared at the same iteration, which may lie between two measurements: the
        # last one counts, and it is equally old for all of them.
        scores = self._curves[name].scores
        # Ray leaves NaN out of both quantiles: an undecided trial neither donates nor loses.
        score = scores[-1][1] if scores else math.nan
        if scores and not math.isfinite(score):
            # Diverged, as opposed to undecided: it has to lose, so it gets the worst score there is
            # before Ray multiplies by its own sign.
            score = -math.inf * (1 if self._mode == "max" else -1)
        result = result | {"score": score}
        return super()._save_trial_state(state, time, result, trial)

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], Any]:
        """Return the new settings of a trial (the method that Ray's PB2 overrides, too)."""
        loser, donor = trial.config["plan"], trial_to_clone.config["plan"]
        new_config = self._perturb_config(donor["config"])
        # Ray keeps scores multiplied by its sign for the mode: the log holds them as measured.
        loser_state: Any = self._trial_state[trial]
        donor_state: Any = self._trial_state[trial_to_clone]
        # From now on it has the donor's policy, until its own next measurement.
        at = int(loser_state.last_train_time)
        self._continue_curve(loser["trial"], donor["trial"], at)
        sign = 1 if self._mode == "max" else -1
        self.exploits[loser["trial"]] = ExploitRow(
            trial=loser["trial"],
            iteration=at,
            donor=donor["trial"],
            score=sign * loser_state.last_score,
            donor_score=sign * donor_state.last_score,
            before=loser["config"],
            donated=donor["config"],
            after=new_config,
            checkpoint=Path(donor_state.last_checkpoint.path)
            .relative_to(self.directory)
            .as_posix(),
        )
        # Ray hands the donor's checkpoint over itself. A `resume_from` left in the plan would make
        # the rebuilt trial load its own earlier checkpoint first.
        return {"plan": loser | {"config": new_config, "resume_from": ""}}, {}

    def _exploit(
        self, tune_controller: TuneController, trial: Trial, trial_to_clone: Trial
    ) -> None:
        """Let a trial continue from another; the save that it may be in the middle of is void."""
        super()._exploit(tune_controller, trial, trial_to_clone)
        forget_decision(tune_controller, trial.trial_id)

    def _perturb_config(self, config: dict[str, Any]) -> dict[str, Any]:
        new_config = perturb_config(self.job.search, config, self.rng)
        try:
            self.job.make_trial_settings(new_config)
        except InputError:
            return config  # the changed values contradict each other; the donor's do not
        return new_config


def _return_unchanged(config: dict[str, Any]) -> dict[str, Any]:
    """Stand in for Ray's explore function: :meth:`RecordedPBT._perturb_config` explores."""
    return config
