# pyright: basic
import json
import resource
import subprocess
import sys

import pytest
from command_line import answer, rungwise

from algos import ALGORITHMS
from cluster import cli

HURRIED = ["--iterations", 2, "--evaluation-episodes", 4, "--cpus", 1]


CARTPOLE = ["train", "--env", "CartPole-v1"]


def test_help_answers_at_once(tmp_path):
    rungwise("--help", cwd=tmp_path)  # the first call writes bytecode
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert rungwise("--help", cwd=tmp_path).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 0.4 s of CPU; importing Ray or torch by mistake would take several, however busy the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tunee"], "did you mean tune"),
        ([], "needs a command"),
        (["tune", "causl"], "did you mean causal"),
        (["tune", "causal", "--trails", "3"], "--trials"),
        (["tune", "causal", "--settings.lr", "3"], "rungwise: settings.lr must be in [0, 1]"),
        (["train", "--env", "CartPol-v1"], "Did you mean: `CartPole`"),
        (["train", "--env", "CartPole-v1", "--algo", "pop"], "did you mean ppo"),
        (["train", "--env", "CartPole-v1", "--metric", "return_maen"], "did you mean return_mean"),
        (["train"], "needs a preset"),
        (["help", "tunee"], "did you mean tune"),
        (["train", "cartpole", "lr=0.1"], "did you mean `--settings.lr 0.1`"),
        (["tune", "cartpole", "iteration"], "did you mean `--iterations VALUE`"),
        (["train", "cartpole", "acrobot"], "Unexpected 'acrobot' after"),
        (["fetch", "s3://bucket/run", "out"], "did you mean `--out VALUE`"),
        (["evaluate", "a", "b"], "Unexpected 'b' after"),
        (["explain", "nan"], "did you mean observation_finite or not_finite"),
        (["explain", "no-improvment"], "did you mean no_improvement"),
        (["jobs", "submit", "cartpole", "--name", "../evil"], "such as 'evil'"),
        (["resume", "nowhere"], "is not a run"),
        (["report", "nowhere"], "is not a run"),
        (["evaluate", "nowhere"], "nowhere does not exist. Give a directory"),
        (["evaluate", __file__], "is a file and no checkpoint. Give a directory"),
        (["report", __file__], "is not a run: it is no directory"),
        (["tail", "nope"], "There is no run 'nope' in runs/: there is none."),
        (["dashboard", "nowhere"], "There is no directory nowhere"),
        *(
            ([*words, "s3://bucket/a"], "s3://bucket/a is an address, and a run directory is local")
            for words in (
                ["train", "cartpole", "--out"],
                ["tune", "cartpole", "--out"],
                ["watch", "log", "--out"],
                ["fetch", "file:///a", "--out"],
            )
        ),
        *(
            ([word, "file:///nowhere/a"], "There is no run at file:///nowhere/a")
            for word in ("resume", "report", "tail", "dashboard", "evaluate", "serve", "fetch")
        ),
        (["check", "NoSuch-v0"], "NoSuch"),
        (["check", "CausalLearning-v0", "--scm", "randon"], "did you mean random"),
        (["check", "CausalLearning-v0", "--env-kwargs", "larges", "9"], "did you mean largest"),
        (["check", "CartPole-v1", "--scm", "ace5"], "CartPole-v1 is none: leave it out"),
        (["check", "CartPole-v1", "--env-kwargs", "x", "[1"], "--env-kwargs x '[1' is not YAML"),
        (["train", "--env", "masked_games:Game-wrong-v0"], "No action is legal by"),
    ],
)
def test_a_wrong_call_gets_a_sentence_and_status_2(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # In this process: a new one would spend seconds on imports in each case.
    try:
        status = cli.run(words)
    except SystemExit as exit_:  # raised by tyro
        status = exit_.code
    printed = capsys.readouterr().err
    assert status == 2, printed
    # A long sentence may be boxed and wrapped.
    flat = " ".join(printed.replace("│", " ").split())
    assert said in flat, flat
    assert "Traceback" not in printed
    assert not list(tmp_path.iterdir())  # what is refused leaves no run behind


def test_cheap_checks_come_before_torch_is_imported(tmp_path):
    """Importing it, and Ray, takes half a minute on a busy machine."""
    (tmp_path / "job.yaml").write_text("env: CartPole-v1\ntrials: 0\n")
    calls = [
        [*CARTPOLE, "--trials", "0"],
        [*CARTPOLE, "--checkpoint_interval=0"],
        ["train", "--env", "CartPol-v1"],
        ["tune", "job.yaml"],
        ["check", "NoSuch-v0"],
        *([command, "nowhere"] for command in ("evaluate", "export", "serve", "resume", "report")),
    ]
    code = (
        "import json, sys\n"
        "from cluster import cli\n"
        "statuses = [cli.run(words) for words in json.loads(sys.argv[1])]\n"
        "print(json.dumps([statuses, sorted({'torch', 'ray'} & set(sys.modules))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(calls)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[2] * len(calls), []], done.stderr
    assert "trials must be in [1, 100000], but it is 0" in done.stderr
    assert "Job.trials" not in done.stderr


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_flags_of_an_algorithm_of_ours_are_read_without_torch(algo):
    code = (
        "import sys\n"
        "from cluster.commands.jobs import Tune\n"
        f"Tune.parse(['--env', 'CartPole-v1', '--algo', {algo!r}, '--settings.gamma', '0.5'])\n"
        "sys.exit(str({'torch', 'ray', 'pandas'} & sys.modules.keys() or 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "0\n"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["help"], "commands"),
        (["-V"], "versions"),
        (["version"], "versions"),
        (["explain", "KL_RUNAWAY"], "symptom"),
        (["explain", "kl-runaway"], "symptom"),
    ],
)
def test_other_spellings_of_a_command_are_understood(words, key, capsys):
    assert cli.run([*words, "--json"]) == 0
    assert key in json.loads(capsys.readouterr().out)


def test_help_of_a_command_is_its_own(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.run(["help", "ledger"])
    assert not exit_.value.code and "usage: rungwise ledger" in capsys.readouterr().out


def test_with_json_stdout_is_one_object(tmp_path):
    done = rungwise("envs", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert isinstance(answer(done), dict)


@pytest.mark.system
def test_a_custom_environment_is_trained_and_evaluated(project):
    done = rungwise("train", "--env", "my_envs:Warehouse-v0", *HURRIED, "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    said = answer(done)
    assert said["end_reason"] == "budget"
    assert said["metrics"]["env_steps"] == 4096
    told = answer(rungwise("evaluate", said["checkpoint"], "--episodes", 8, "--json", cwd=project))
    assert told["policy"].keys() == told["baselines"]["random"].keys()
    assert 0 <= told["policy"]["return_mean"] <= 10


@pytest.mark.system
@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        ("raise", "error", r"KeyError: 'shelf 9'.*my_envs.py:"),
        ("nan", "health", r"not_finite: .*reward at step"),
        ("mask", "error", r"No action is legal by .* after step \d of an episode .*allow at least"),
    ],
)
def test_an_environment_that_fails_late_ends_the_trial(project, fault, reason, said):
    done = rungwise(
        *("train", "--env", "my_envs:Warehouse-v0", "--env-kwargs", "fault", fault, "--out", "run"),
        *("--iterations", 9, "--cpus", 1, "--json"),
        cwd=project,
    )
    assert done.returncode == 1, done.stderr
    assert answer(done)["end_reason"] == reason
    rows = (project / "run" / "events.jsonl").read_text()
    import re

    assert re.search(said, rows), rows
