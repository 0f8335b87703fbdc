"""One trial under Ray Tune: a thin Trainable around an algorithm.

RLlib's Algorithm is a Trainable itself, but it cannot be reset: each trial would start a process
and import everything again (4.8 s). This one is rebuilt inside a warm process.
"""

from __future__ import annotations

import gc
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rungwise.quick_imports import quick_imports

with quick_imports():
    import numpy as np
    from pyarrow.fs import FileSystem
    from ray import tune
    from ray.air.constants import TRAINING_ITERATION
    from ray.rllib.core import DEFAULT_MODULE_ID

    import algos
    from algos.algorithm import ColumnAlgorithm
    from algos.checkpoint import find_newest_intact, verify_checkpoint, write_manifest
    from algos.learning.learner import ColumnLearner
    from algos.policy import Policy, save_policy
    from algos.rollouts.environment_fault import EnvironmentFault
    from algos.rollouts.watchdog import Watchdog
    from rungwise.run_log.json_types import dump_metrics
    from rungwise.run_log.trial_outcome import PER_STEP, SPREAD
    from tune_jobs.evaluation.evaluate import evaluate_held_out
    from tune_jobs.evaluation.scoring import AgentScore, merge_scores
    from tune_jobs.jobs.job import Job
    from tune_jobs.jobs.resources import describe_missing_cuda, holds_gpu, share_gpus
    from tune_jobs.jobs.rllib_settings import RLlibSettings
    from tune_jobs.jobs.trials import derive_trial_seed, get_trial_number
    from tune_jobs.session.environment_failures import EnvironmentFailures
    from tune_jobs.session.rllib_agent import RLlibAgent
    from tune_jobs.stopping.stop_rules import describe_last_failure

PROGRESS = "trial.json"
"""File of a checkpoint with the seconds trained, the last score and the recent episodes of each
agent, the metrics of those that are an iteration ahead, and the settings."""
SUMMED = (
    *("env_steps", "episodes", "iteration_s", "nonfinite", "updates", "runners_lost"),
    *("v_star_starts", "v_star_starts_left", "v_star_s", "v_star_left_s"),
)
"""Metrics that several agents have together."""
PREPARATION_S = 10.0
"""Time between two reports of what precedes the first iteration (stage 1 of A*-PO: hours)."""
PREPARATION_CHECKPOINT_S = 300.0
"""Time between two checkpoints during that: most of them never last so long."""


def make_trainable(job: Job, files: FileSystem | None = None) -> type[TrialTrainable]:
    """Make the class whose actors train the trials of a job.

    Args:
        job: the job.
        files: those of the run, by the paths of the driver's node; None: this machine's.

    The job is part of the class and not, as ``tune.with_parameters`` would have it, an object of
    the driver in Ray's store: where SIGTERM ends Ray's processes, too (SLURM, ``timeout``), Ray
    looks for such an object and ends the driver with status 1 before it has written the end.
    """
    return type(TrialTrainable.__name__, (TrialTrainable,), {"job": job, "files": files})


class TrialTrainable(tune.Trainable):
    """One trial under Ray Tune: an agent per seed, flat metrics and one score."""

    job: Job
    """The job of the run; :func:`make_trainable` sets it."""
    files: FileSystem | None = None
    """Where checkpoints of earlier sessions are; None: on this machine."""

    def setup(self, config: dict[str, Any]) -> None:
        """Build the agents; continue from the plan's checkpoint, if it names one."""
        gc.freeze()  # what was imported stays, and is not searched for garbage again
        self._build_agents(config["plan"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process (Tune's ``reuse_actors``)."""
        # First: two trials' workers at a time would exceed what the placement group reserves.
        self.cleanup()
        self._build_agents(new_config["plan"])
        return True

    def _build_agents(self, plan: dict[str, Any]) -> None:
        job = self.job
        # torch without CUDA works on the CPU; the finding `idle_gpu` reports it.
        self.idle_gpu = describe_missing_cuda(holds_gpu(job.settings)) if job.gpus_per_trial else ""
        gpus = 0.0 if self.idle_gpu else share_gpus(job)
        self.agents = [build_agent(job, plan, index, gpus) for index in range(job.seeds)]
        settings = self.agents[0].settings
        # A hung runner is replaced while the trial waits: the trial itself must wait longer.
        patience = settings.hang_limit_s * (4 if settings.num_env_runners else 1)
        self.watchdog = Watchdog(Path(plan["hang_report_dir"]), "trial", patience)
        # A second one: how long parts of stage 1 take says nothing about a first iteration.
        self.preparation_watchdog = Watchdog(Path(plan["hang_report_dir"]), "trial", patience)
        self.unprepared = self._list_column_agents()
        self.preparation_saved_at = time.monotonic()
        self.failures = EnvironmentFailures(job.max_failures)
        self.trial_number: str = plan["trial"]
        self.trained_s = 0.0
        self.scores: list[float | None] = [None] * job.seeds
        """The last score measured of each agent: None before the first, NaN after divergence."""
        self.agent_scores = [AgentScore(job.metric, job.iterations) for _ in self.agents]
        self.trained: list[dict[str, Any]] = []
        """Metrics of the first agents in the current iteration, while others have yet to run it."""
        self.trial_config: dict[str, Any] = plan["config"]
        self.applied_settings: dict[str, Any] = {}
        """Changed settings as read back from the learner, until they are reported."""
        if plan["resume_from"]:
            checkpoint = tune.Checkpoint(plan["resume_from"], filesystem=self.files)
            with checkpoint.as_directory() as folder:
                self._restore(Path(folder))

    def _list_column_agents(self) -> list[ColumnAlgorithm]:
        """Return the agents of our own algorithms: all, or none of one of RLlib's."""
        return [agent for agent in self.agents if not isinstance(agent, RLlibAgent)]

    def _restore(self, directory: Path) -> None:
        # Before anything is loaded: a torn file would otherwise fail deep inside RLlib.
        verify_checkpoint(directory)
        for index, agent in enumerate(self.agents):
            agent.restore_from_path(directory / _get_agent_folder(index))
        progress = json.loads((directory / PROGRESS).read_text())
        self.trained_s, self.scores = progress["trained_s"], progress["scores"]
        self.trained = progress["trained"]
        # Those of another trial's checkpoint, too: they are the episodes of the policy in it.
        rewards = progress.get("rewards", [[]] * len(self.agents))
        self.agent_scores = [
            AgentScore(self.job.metric, self.job.iterations, *saved)
            for saved in zip(progress["recent"], rewards, progress["stages"], strict=True)
        ]
        if [progress["trial"], progress["config"]] != json.loads(
            # Through JSON as the stored one went: tuples became lists.
            json.dumps([self.trial_number, self.trial_config])
        ):
            # Another trial's checkpoint: its learner's coefficients came with it (ray#62173).
            for agent in self._list_column_agents():
                group: Any = agent.learner_group
                for reply in group.foreach_learner(apply_trial_config, config=self.trial_config):
                    self.applied_settings = reply.get()

    def step(self) -> dict[str, Any]:
        """Train every agent for one iteration; return the trial's result.

        What precedes the first iteration can take hours. While it does, a step is a part of it, and
        the result has the iteration 0, no score and the metrics of the progress.
        """
        try:
            if not self._prepare_agents():
                return self._report_preparation()
            # One by one: where an agent fails, those before it are an iteration ahead. A resume
            # continues with the one that failed, so that each runs every iteration just once.
            while len(self.trained) < len(self.agents):
                self.trained.append(self._train_agent(len(self.trained)))
        except EnvironmentFault as error:
            if isinstance(self.job.settings, RLlibSettings):
                raise  # its state is lost: Tune restarts the trial from the last checkpoint
            # The policy learnt so far stands, and so does its last score.
            fault = describe_last_failure(str(error), self.failures.count)
            return self._make_result({}, None, fault)
        trained, self.trained = self.trained, []
        metrics, score = merge_agent_metrics(trained), self._take_scores(trained)
        measured = [score for score in self.scores if score is not None]
        # One seed has no spread, and 0 would read as perfect agreement.
        if score is not None and len(measured) > 1:
            metrics[SPREAD] = float(np.std(measured, ddof=1))
        scored = [s.scored_reward for s in self.agent_scores if s.scored_reward is not None]
        if scored:
            metrics[PER_STEP] = float(np.mean(scored))
        return self._make_result(metrics, score)

    def _make_result(
        self, metrics: Mapping[str, Any], score: float | None, fault: str = ""
    ) -> dict[str, Any]:
        settings, self.applied_settings = self.applied_settings, {}
        iteration = min(agent.iteration for agent in self.agents)
        return {
            "trial": self.trial_number,
            "took": json.dumps(settings),
            "iteration": iteration,
            # Tune writes a checkpoint where this is a multiple of the interval. Its own count would
            # include the parts of a preparation.
            TRAINING_ITERATION: iteration,
            "score": score,
            "trained_s": self.trained_s,
            "fault": fault,
            "failures": self.failures.take_unreported(),
            "idle_gpu": self.idle_gpu,
            # As a text: Tune keeps statistics of numbers, which its snapshots leak (log_once).
            "metrics": dump_metrics(metrics),
            "done": bool(fault),
        }

    def _prepare_agents(self) -> bool:
        """Run what precedes the first iteration for a while; return whether it is over."""
        for agent in list(self.unprepared):
            start = time.perf_counter()
            is_ready = self.failures.survive(
                agent, partial(agent.prepare, PREPARATION_S), self.preparation_watchdog
            )
            self.trained_s += time.perf_counter() - start
            if is_ready:
                self.unprepared.remove(agent)
        return not self.unprepared

    def _report_preparation(self) -> dict[str, Any]:
        """Return the result of a part of what precedes the first iteration."""
        agents = self._list_column_agents()
        progress = [a.preparation_metrics | {"env_steps": a.env_steps} for a in agents]
        result = self._make_result(merge_agent_metrics(progress), None)
        saved_s = time.monotonic() - self.preparation_saved_at
        if saved_s < PREPARATION_CHECKPOINT_S:
            # 0 is a multiple of every interval, a half is of none.
            return result | {TRAINING_ITERATION: 0.5}
        self.preparation_saved_at = time.monotonic()
        return result

    def _train_agent(self, index: int) -> dict[str, Any]:
        agent = self.agents[index]
        # Only training is watched: an evaluation may rightly take longer than an iteration.
        self.failures.survive(agent, agent.train, self.watchdog)
        metrics = agent.flat_metrics
        self.trained_s += metrics["iteration_s"]
        every = self.job.held_out_interval
        # At the first, too: a score is there from the beginning. And at the last: the result of the
        # run is scored by its own policy, not by one of some iterations ago.
        first_or_last = agent.iteration == 1 or self._is_finished(index)
        if every and (first_or_last or agent.iteration % every == 0):
            # The time counts as the trial's own, so that seconds saved are not underestimated.
            start = time.perf_counter()
            metrics = metrics | self._evaluate_held_out(agent)
            self.trained_s += time.perf_counter() - start
        return metrics

    def _take_scores(self, trained: Sequence[Mapping[str, Any]]) -> float | None:
        """Return the trial's score from its agents' metrics; None where nothing was measured.

        A score repeated until the next one would pass for further measurements: nine copies of one
        held-out score looked like a run that does not improve.
        """
        new_scores = [
            self.agent_scores[index].measure(metrics, self._is_finished(index))
            for index, metrics in enumerate(trained)
        ]
        for index, score in enumerate(new_scores):
            if score is not None:
                self.scores[index] = score
        has_new = any(score is not None for score in new_scores)
        return merge_scores(self.scores, self._is_finished()) if has_new else None

    def _is_finished(self, index: int = 0) -> bool:
        """Return whether an agent has run all iterations of the job."""
        return self.agents[index].iteration >= self.job.iterations

    def _evaluate_held_out(self, agent: ColumnAlgorithm | RLlibAgent) -> dict[str, float]:
        """Evaluate the policy on held-out seeds."""
        # Saved and loaded as a user will load it: a policy whose saved form acts differently (a
        # normalisation that is lost, say) shows in the score, and not only after the run.
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            self._save_policy(agent, directory)
            write_manifest(directory)
            # On the device where it acts in training: a language model would take hours elsewhere.
            has_device = isinstance(agent, ColumnAlgorithm)
            device = agent.config.get_acting_device() if has_device else "cpu"
            policy = Policy.load(directory, device=device)
            return evaluate_held_out(policy, self.job)

    def _save_policy(self, agent: ColumnAlgorithm | RLlibAgent, checkpoint: Path) -> None:
        if isinstance(agent, RLlibAgent):
            agent.save_policy(checkpoint / "policy")
        else:
            save_policy(agent, self.job.algo, checkpoint / "policy", self.job.evaluation_env_kwargs)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the best agent's policy, all states, what only the trial knows, the manifest."""
        directory = Path(checkpoint_dir)
        for index, agent in enumerate(self.agents):
            agent.save_to_path(directory / _get_agent_folder(index))
        sign = -1 if self.job.mode == "min" else 1
        # An undecided or diverged agent comes last; where all are, max takes the first.
        order = [
            (agent_score.stage, sign * s) if s is not None and math.isfinite(s) else (-1.0, 0.0)
            for agent_score, s in zip(self.agent_scores, self.scores, strict=True)
        ]
        self._save_policy(self.agents[order.index(max(order))], directory)
        progress: dict[str, Any] = {"trained_s": self.trained_s, "scores": self.scores}
        progress["trained"] = self.trained
        progress["recent"] = [score.episodes.iterations for score in self.agent_scores]
        progress["rewards"] = [list(score.rewards) for score in self.agent_scores]
        progress["stages"] = [score.stage for score in self.agent_scores]
        progress |= {"trial": self.trial_number, "config": self.trial_config}
        (directory / PROGRESS).write_text(json.dumps(progress))
        # Last, as it holds the checksums of all other files.
        write_manifest(directory)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Continue from a checkpoint of this session, or from the intact one before it."""
        # Only earlier checkpoints can stand in. Under PBT the folder is the donor's, and a later
        # checkpoint there belongs to training that this trial does not continue.
        newest = Path(checkpoint)
        sound, _ = find_newest_intact(
            sorted(p for p in newest.parent.glob("checkpoint_*") if p <= newest)
        )
        # Without a sound one the newest is asked for: it says what is wrong with it.
        self._restore(sound or newest)

    def cleanup(self) -> None:
        """Stop the agents' workers."""
        for agent in self.agents:
            agent.stop()
        self.agents, self.unprepared = [], []
        if self.job.gpus_per_trial:
            # RLlib's objects refer to each other in circles: their memory on a GPU would only be
            # free long after the next trial in this process needs it.
            gc.collect()


def build_agent(
    job: Job, plan: Mapping[str, Any], index: int, gpus: float
) -> ColumnAlgorithm | RLlibAgent:
    """Build one of the agents of a trial, trained by our own algorithm or by one of RLlib's.

    Args:
        job: the job.
        plan: the trial's plan.
        index: which of the trial's agents.
        gpus: GPUs of each process whose policy is on one.
    """
    seed = derive_trial_seed(job.seed, get_trial_number(plan["trial"]), index)
    if isinstance(job.settings, RLlibSettings):
        searched, env_kwargs = job.split_trial_config(plan["config"])
        settings = RLlibSettings(job.settings.values | searched)
        folder = Path(plan["hang_report_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        fault_file = folder / f"environment-{index}.fault"
        return RLlibAgent(job, settings, env_kwargs, seed=seed, gpus=gpus, fault_file=fault_file)
    settings, env_kwargs = job.make_trial_settings(plan["config"])
    settings = settings.record_below(plan["trial"])
    return algos.build_algorithm(
        job.algo,
        job.env,
        env_kwargs,
        settings,
        iterations=job.iterations,
        seed=seed,
        gpus=gpus,
        hang_report_dir=plan["hang_report_dir"],
    )


def _get_agent_folder(agent_index: int) -> str:
    """Folder of a checkpoint with the state of one of the trial's agents."""
    return f"algorithm-{agent_index}" if agent_index else "algorithm"


def apply_trial_config(learner: ColumnLearner, config: Mapping[str, Any]) -> dict[str, Any]:
    """Give a restored learner the settings of its own trial, and read back what it runs with."""
    # Coefficients change during training, so they are part of the learner's saved state; all other
    # settings come from the configuration that built it.
    for name in config:
        if name in learner.coefficients:
            learner.coefficients[name] = config[name]
    settings = learner.objective.settings
    used = {n: getattr(settings, n) for n in config if hasattr(settings, n)}
    # Its state was loaded, too. The learning rate is that of the last update: the next sets it.
    optimiser = next(o for _, o in learner.get_optimizers_for_module(DEFAULT_MODULE_ID))
    used |= {n: optimiser.param_groups[0][n] for n in config if n == "weight_decay"}
    return used | {n: learner.coefficients[n] for n in config if n in learner.coefficients}


def merge_agent_metrics(agent_metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the metrics of agents that differ only in their seeds.

    Counts and times are summed. Other numbers are averaged over the agents that have them: an agent
    without a finished episode lacks some. Values that are no numbers are those of the first agent.
    """
    if len(agent_metrics) == 1:
        return dict(agent_metrics[0])
    together: dict[str, Any] = {}
    for name in dict.fromkeys(name for metrics in agent_metrics for name in metrics):
        values: list[Any] = [metrics[name] for metrics in agent_metrics if name in metrics]
        # bool is an int in Python: the mean of two flags would be a meaningless 0.5.
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if numbers:
            together[name] = sum(values) if name in SUMMED else float(np.mean(values))
        else:
            together[name] = values[0]
    return together
