# pyright: basic
"""A project with folders of our names: its modules and ours are imported side by side."""

import pickle
import subprocess
import sys

import pytest
from paths import ROOT
from ray.cloudpickle.cloudpickle import dumps

from rungwise import user_packages

FILES = {
    "envs/__init__.py": "",
    "envs/common.py": "LENGTH = 7\n",
    "envs/zoo.py": "THING = 7\n",
    "envs/mine.py": """
import gymnasium
from envs.common import LENGTH
from envs.contract.batched import World  # ours
gymnasium.register("Mine-v0", lambda: None, max_episode_steps=LENGTH)
""",
    "algos/__init__.py": "from nowhere import nothing\n",
    "cluster.py": "raise SystemExit\n",
    "other.py": "import envs.mine\n",
    "hidden.py": "from envs.zoo import THING\n",
    "attribute.py": "import envs.zoo\nenvs.zoo.THING\n",
}


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run_in(project, code):
    """What a script in the project prints; ours is found behind its own folder."""
    (project / "script.py").write_text(code)
    words = [sys.executable, "script.py"]
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


def test_modules_of_the_project_and_ours_are_imported_together(project):
    printed = run_in(
        project,
        "import rungwise\n"
        "rungwise.Job\n"
        "from algos.rollouts.env_factory import find_env_spec\n"
        "for name in ('envs.mine:Mine-v0', 'other:Mine-v0'):\n"
        "    print(find_env_spec(name).max_episode_steps)\n"
        "for name in ('hidden:A-v0', 'attribute:A-v0', 'envs.zoo:A-v0'):\n"
        "    try:\n"
        "        find_env_spec(name)\n"
        "    except rungwise.InputError as error:\n"
        "        print(error)\n",
    )
    lengths, hidden = printed.splitlines()[:2], printed.splitlines()[2:]
    assert lengths == ["7", "7"] and len(hidden) == 3
    for sentence in hidden:
        assert str(project / "envs" / "zoo.py") in sentence
        assert str(ROOT / "envs" / "zoo.py") in sentence


def test_what_judges_leaves_the_packages_of_a_project_alone(project):
    (project / "envs" / "__init__.py").write_text("make_env = 7\n")
    printed = run_in(
        project,
        "import contextlib, rungwise\n"
        "with contextlib.suppress(rungwise.InputError, ImportError):\n"  # SB3 may be missing
        "    from rungwise.callbacks.sb3 import HealthCallback\n"
        "rungwise.Watch()\nimport envs\nprint(envs.make_env)\n"
        "rungwise.Job(env='CartPole-v1')\nimport envs, envs.mine\nprint(envs.__file__)\n",
    )
    assert printed.split() == ["7", str(ROOT / "envs" / "__init__.py")]


def test_a_module_of_a_project_takes_the_name_of_one_that_moved(project):
    (project / "envs" / "agents.py").write_text("mine = 7\n")
    printed = run_in(
        project,
        "import rungwise\nrungwise.Job(env='CartPole-v1')\nimport envs.agents\n"
        "print(envs.agents.mine)\ntry:\n    import envs.masked\n"
        "except ModuleNotFoundError as error:\n    print(error)\n",
    )
    assert printed.splitlines() == ["7", "envs.masked is now envs.contract.masked."]


def test_a_worker_claims_our_packages_before_it_imports_any(project):
    claim = dumps(user_packages.make_claim(str(ROOT)))
    printed = run_in(
        project,
        f"import pickle\npickle.loads({claim!r})()\n"
        "import algos.schedules, cluster.errors\nprint(algos.schedules.__file__)\n",
    )
    assert printed.strip() == str(ROOT / "algos" / "schedules.py")
    pickle.loads(claim)  # does nothing here, where they are imported


def test_only_a_project_with_our_names_needs_that(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("plain")
    (elsewhere / "my_envs.py").touch()
    (elsewhere / "envs").mkdir()
    assert user_packages.has_user_packages([str(project)])
    assert not user_packages.has_user_packages([str(elsewhere), str(ROOT)])


def test_what_no_module_of_ours_hides_needs_no_word(project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    for name in ("envs.common", "envs.mine.deeper", "other", "envs", "tune_jobs"):
        assert user_packages.explain_hidden(name) == ""  # envs: an empty file hides nothing
    (project / "envs" / "__init__.py").write_text("import envs.mine\n")
    assert "envs.my_module" in user_packages.explain_hidden("envs")
    assert "rename it" in user_packages.explain_hidden("cluster")
