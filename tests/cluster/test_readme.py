# pyright: basic
"""What the README shows, done as written."""

import re

import pytest
from command_line import answer, rungwise
from paths import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture
def project(tmp_path):
    code = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "my_envs.py" in b)
    (tmp_path / "my_envs.py").write_text(code)
    return tmp_path


def test_the_environment_of_the_readme_passes_check_and_can_be_trained_and_compared(project):
    env = "my_envs:Thermostat-v0"
    checked = rungwise("check", env, "--json", cwd=project)
    assert answer(checked)["findings"] == [], checked.stderr
    done = rungwise(*("train", "--env", env, "--iterations", 3, "--cpus", 1, "--json"), cwd=project)
    assert done.returncode == 0, done.stderr
    told = answer(rungwise("evaluate", answer(done)["checkpoint"], "--json", cwd=project))
    assert set(told["baselines"]) == {"greedy", "random", "bang_bang"}
    assert told["baselines"]["bang_bang"]["mean"] < told["baselines"]["random"]["mean"]


def test_every_dependency_is_listed_with_a_reason():
    project = (ROOT / "pyproject.toml").read_text()
    names = set(re.findall(r'^    "([a-z-]+)[\[<>=]', project, re.M)) - {
        "types-pyyaml",
        "setuptools",
        "rungwise",  # with its own extras
    }
    rows = " ".join(re.findall(r"^\| ([^|]+) \|", README, re.M))
    assert {name for name in names if name not in rows} == set()


def test_the_table_of_algorithms_is_the_one_that_follows_from_their_needs():
    from algos import load_algorithms
    from algos.requirements import format_requirements_table

    shown = re.search(r"<!-- algorithms: .*? -->\n(.*?)\n<!-- end -->", README, re.S)
    assert shown and shown[1] == format_requirements_table(load_algorithms())


def test_the_table_of_symptoms_is_what_the_rules_say():
    from tune_jobs.check.explain import format_symptoms_table

    shown = re.search(r"<!-- symptoms: .*? -->\n(.*?)\n<!-- end of symptoms -->", README, re.S)
    assert shown, "the markers around the table are gone"
    assert shown[1] == format_symptoms_table(), (
        "paste what tune_jobs.check.explain.table() says into README.md"
    )
