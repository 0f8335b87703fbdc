"""From what a user names to what is examined."""

from __future__ import annotations

from algos.environments import env_spec
from algos.requirements import Need, check_needs
from envs.validation import InputError
from tune_jobs.health.check.subject import Subject
from tune_jobs.loading import env_id, load_job, preset_names


def subject_of(name: str, algo: str = "") -> Subject:
    """The subject that a preset, a job file, a family or a Gymnasium id names.

    Raises:
        InputError: there is none of that name, or the algorithm cannot learn in it.
    """
    if name in preset_names() or name.endswith((".yaml", ".yml")):
        job = load_job(name)
        same = algo in ("", job.algo)
        settings = job.settings if same else None
        subject = Subject(job.env, job.env_kwargs, algo or job.algo, settings)
    else:
        subject = Subject(env_id(name), {}, algo or "ppo")
    env_spec(subject.env)  # one that does not exist is a wrong call, not a bad environment
    needs: frozenset[Need] = subject.algorithm.needs(subject.settings)
    if algo and needs:
        try:
            has = subject.offers
        except InputError:
            raise
        except Exception:  # the environment is broken, which the first probe will tell
            return subject
        check_needs(algo, needs, subject.env, has)
    return subject
