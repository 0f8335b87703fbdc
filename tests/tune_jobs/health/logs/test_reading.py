"""Reading finished runs: ours, RLlib's, SB3's, CleanRL's and plain files, all to the same rows."""

import csv
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from health_runs import flat as flat_returns
from health_runs import rising
from paths import DATA

from algos.metrics import METRICS
from envs.validation import InputError
from tune_jobs.health import RULES, History, diagnose
from tune_jobs.health.doctor import doctor
from tune_jobs.health.logs import read_logs
from tune_jobs.health.logs.names import KNOWN
from tune_jobs.health.logs.translation import flatten
from tune_jobs.run_log.events import EventLog, JobRow, ResultRow, TrialRow

RLLIB = DATA / "logs" / "rllib_ppo_cartpole.json"


def results() -> list[dict]:
    """The lines of a real RLlib run."""
    return [json.loads(line) for line in RLLIB.read_text().splitlines()]


def write_results(path: Path, lines: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_csv(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_events(directory: Path, scalars: list[Any]) -> Path:
    tensorboardX = pytest.importorskip("tensorboardX")
    writer = tensorboardX.SummaryWriter(str(directory))
    for tag, value, step in scalars:
        writer.add_scalar(tag, value, step)
    writer.close()
    return directory


def plain(path: Path, **columns) -> Path:
    count = max(len(values) for values in columns.values())
    rows = [{name: values[i] for name, values in columns.items()} for i in range(count)]
    return write_csv(path, rows)


def seen(path: Path) -> dict[str, tuple[str, int]]:
    """Symptom to severity and beginning, of the one log there."""
    answer = doctor(path)
    assert len(answer["logs"]) == 1
    return {f["symptom"]: (f["severity"], f["since"]) for f in answer["findings"]}


def sick_results() -> list[dict]:
    """The real run three times over, with a KL that jumps and a return that stays."""
    lines = [line for _ in range(3) for line in results()]
    for i, line in enumerate(lines):
        line["training_iteration"] = i + 1
        line["num_env_steps_sampled_lifetime"] = 500 * (i + 1)
        line["learners"]["default_policy"]["mean_kl_loss"] = 20.0 if i == 4 else 0.02
        line["env_runners"]["episode_return_mean"] = 20.0 + i % 2
    return lines


SICK = {
    "kl_runaway": ("stop", 5),
    "no_improvement": ("warn", 11),
    "low_explained_variance": ("warn", 7),
}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (results(), {}),
        (sick_results(), SICK),
    ],
    ids=["healthy", "sick"],
)
def test_the_same_run_gives_the_same_findings_in_every_format(tmp_path, lines, expected):
    rows = [flatten(line) for line in lines]
    scalars = [
        (f"ray/tune/{name}", value, row["training_iteration"])
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float) and not math.isnan(value) and name != "training_iteration"
    ]
    from_json = write_results(tmp_path / "a" / "result.json", lines)
    from_csv = write_csv(tmp_path / "b" / "progress.csv", rows)
    from_events = write_events(tmp_path / "c", scalars)
    assert seen(from_json) == expected
    assert seen(from_csv) == expected
    assert seen(from_events) == expected
    logs = [read_logs(path)[0] for path in (from_json, from_csv, from_events)]
    assert [log.format for log in logs] == [
        "Ray Tune result.json",
        "Ray Tune progress.csv",
        "TensorBoard",
    ]
    for log in logs[1:]:
        for mine, theirs in zip(log.rows, logs[0].rows, strict=True):
            drop = {"iteration_s": 0}
            assert mine | drop == pytest.approx(theirs | drop, rel=1e-5)


def test_rllib_results_are_read_under_our_names():
    log = read_logs(RLLIB)[0]
    first = results()[0]
    learner = first["learners"]["default_policy"]
    assert len(log.rows) == 8
    assert log.rows[0]["iteration"] == 1
    assert log.rows[0]["return_mean"] == first["env_runners"]["episode_return_mean"]
    assert log.rows[0]["episodes"] == 19
    assert log.rows[0]["entropy"] == learner["entropy"]
    assert log.rows[0]["value_loss"] == learner["vf_loss_unclipped"] / 2
    assert log.rows[0]["grad_norm"] == learner["gradients_default_optimizer_global_norm"]
    assert "learners/default_policy/total_loss" in log.unmapped
    assert set(log.rows[0]) <= {*METRICS, "iteration"}


def test_nan_where_rllib_has_nothing_to_say_is_no_sickness(tmp_path):
    lines = results()
    lines[3]["env_runners"] |= {"num_episodes": 0, "episode_return_mean": math.nan}
    learner = lines[5]["learners"]["default_policy"]
    learner |= {"num_module_steps_trained": 0, "policy_loss": math.nan, "total_loss": math.nan}
    path = write_results(tmp_path / "result.json", lines)
    rows = read_logs(path)[0].rows
    assert "return_mean" not in rows[3]
    assert "policy_loss" not in rows[5]
    assert "not_finite" not in seen(path)


@pytest.mark.parametrize("name", ["policy_loss", "entropy", "total_loss"])
def test_nan_in_any_loss_of_an_update_is_a_finding(tmp_path, name):
    lines = results()
    for line in lines[6:]:
        line["learners"]["default_policy"][name] = math.nan
    assert seen(write_results(tmp_path / "result.json", lines))["not_finite"] == ("stop", 7)


def test_a_kl_of_zero_in_every_row_was_not_computed(tmp_path):
    lines = results()
    for line in lines:
        line["learners"]["default_policy"]["mean_kl_loss"] = 0.0
    answer = doctor(write_results(tmp_path / "result.json", lines))
    assert "kl" in answer["not_judged"]["kl_runaway"]


def test_the_old_stack_of_rllib_smooths_its_returns(tmp_path):
    stats = {"entropy": 0.6, "kl": 0.01, "vf_loss": 4.0, "cur_lr": 1e-3}
    lines = [
        {
            "training_iteration": i,
            "timesteps_total": 500 * i,
            "env_runners": {
                "episode_reward_mean": math.nan if i == 1 else 20.0,
                "episode_return_mean": math.nan if i == 1 else 20.0,
                "num_episodes": 0 if i == 1 else 4,
            },
            "info": {"learner": {"default_policy": {"learner_stats": stats}}},
            "config": {"lr": 1e-3},
        }
        for i in range(1, 4)
    ]
    log = read_logs(write_results(tmp_path / "result.json", lines))[0]
    expected = {"iteration": 2, "return_mean_100": 20.0, "value_loss": 2.0, "kl": 0.01, "lr": 1e-3}
    assert expected.items() <= log.rows[1].items()
    assert "return_mean" not in log.rows[1]
    assert "return_mean_100" not in log.rows[0]
    assert log.score == "return_mean_100"
    assert log.unmapped == ["env_runners/episode_return_mean"]


def test_an_experiment_has_a_log_for_each_of_its_trials(tmp_path):
    for name in ("a", "b", "c"):
        write_results(tmp_path / name / "result.json", sick_results())
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "result.json").touch()  # a trial that failed before its first result
    answer = doctor(tmp_path)
    assert [log["name"] for log in answer["logs"]] == ["a", "b", "c", "d"]
    assert "all 3" in answer["siblings"]["kl_runaway"]
    assert set(answer["logs"][3]["not_judged"].values()) == {"the log has no iteration"}
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_what_tune_ran_again_after_a_resume_counts_once(tmp_path):
    lines = results()
    again = results()[4:]
    again[0]["env_runners"]["episode_return_mean"] = 99.0
    rows = read_logs(write_results(tmp_path / "result.json", [*lines[:6], *again]))[0].rows
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert rows[4]["return_mean"] == 99.0


def test_a_real_run_of_sb3_is_read_from_each_of_its_files(tmp_path, monkeypatch):
    sb3 = pytest.importorskip("stable_baselines3")
    import gymnasium
    from stable_baselines3.common import logger
    from stable_baselines3.common.monitor import Monitor

    # SB3 writes TensorBoard files through torch, which wants a package that is not needed here.
    tensorboardX = pytest.importorskip("tensorboardX")
    monkeypatch.setattr(
        logger, "SummaryWriter", lambda log_dir: tensorboardX.SummaryWriter(log_dir)
    )
    env = Monitor(gymnasium.make("CartPole-v1"), str(tmp_path / "0"))
    model = sb3.PPO("MlpPolicy", env, n_steps=256, n_epochs=2, seed=0, device="cpu")
    model.set_logger(logger.configure(str(tmp_path), ["csv", "tensorboard"]))
    model.learn(2560)
    model.logger.close()

    table, events, monitor = (
        read_logs(next(tmp_path.glob(pattern)))[0]
        for pattern in ("*s.csv", "*tfevents*", "*monitor*")
    )
    assert len(table.rows) == len(events.rows) == 10
    assert table.rows[0].keys() & {"return_mean_100", "entropy"} == {"return_mean_100"}
    assert 0.5 < table.rows[1]["entropy"] < 0.7
    for mine, theirs in zip(events.rows, table.rows, strict=True):
        theirs.pop("updates", None)  # which SB3 keeps out of TensorBoard
        assert mine == pytest.approx(theirs, rel=1e-5)
    # No count of the episodes is logged: it is estimated from their length.
    returns = env.get_episode_rewards()
    assert sum(row["episodes"] for row in table.rows) == pytest.approx(len(returns), rel=0.3)
    assert seen(tmp_path / "progress.csv") == seen(events_file(tmp_path))
    assert sum(row["episodes"] for row in monitor.rows) == len(returns)
    assert monitor.rows[-1]["env_steps"] == sum(env.get_episode_lengths())
    # With both files there are the returns behind the moving average, too.
    both = read_logs(tmp_path)[0]
    assert (both.format, both.score) == ("SB3 progress.csv", "return_mean")
    assert sum(row["episodes"] for row in both.rows) == len(returns)
    first = returns[: int(both.rows[0]["episodes"])]
    assert both.rows[0]["return_mean"] == both.rows[0]["return_mean_100"] == np.mean(first)


def events_file(directory: Path) -> Path:
    return next(directory.glob("*tfevents*"))


def test_monitors_of_an_evaluation_are_not_read_as_training(tmp_path):
    plain(tmp_path / "progress.csv", **{"time/total_timesteps": [1000, 2000], "train/loss": [1, 1]})
    (tmp_path / "monitor.csv").write_text("#{}\nr,l,t\n5,100,1\n")
    log = read_logs(tmp_path)[0]
    assert not any("return_mean" in row for row in log.rows)


def test_sb3_evaluation_lines_belong_to_the_next_iteration(tmp_path):
    rows = []
    for i in range(1, 4):
        rows.append({"time/total_timesteps": 100 * i - 1, "eval/mean_reward": 9, "train/std": 1})
        rows[-1]["train/entropy_loss"] = -0.5 * i
        rows.append({"time/total_timesteps": 100 * i, "time/iterations": i})
        rows[-1]["rollout/ep_rew_mean"] = 20.0
    log = read_logs(write_csv(tmp_path / "progress.csv", rows))[0]
    assert [row["entropy"] for row in log.rows] == [0.5, 1.0, 1.5]
    assert [row["return_mean_100"] for row in log.rows] == [20.0] * 3
    assert log.unmapped == ["eval/mean_reward", "train/std"]


def test_a_nan_in_the_moving_average_of_sb3_is_found(tmp_path):
    rows = [
        {
            "time/total_timesteps": 256 * i,
            "rollout/ep_rew_mean": math.nan if i > 9 else 20.0 + i,
            "rollout/ep_len_mean": 20.0,
            "train/explained_variance": math.nan,
        }
        for i in range(1, 11)
    ]
    answer = doctor(write_csv(tmp_path / "progress.csv", rows))
    assert [(f["symptom"], f["since"]) for f in answer["findings"]] == [("not_finite", 10)]
    assert "rollout/ep_rew_mean" in answer["findings"][0]["evidence"]


def test_monitors_of_parallel_environments_are_one_run(tmp_path):
    for env in range(2):
        lines = [f'#{{"t_start": {1000.0 + env}, "env_id": "CartPole-v1"}}', "r,l,t"]
        lines += [f"{10 * t + env},{7 + env},{t}.5" for t in range(30)]
        (tmp_path / f"{env}.monitor.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "other.monitor.csv").write_text('#{"t_start": 1.0}\nr,l,t\n1,5,0.1\n')
    both, other = read_logs(tmp_path)
    assert (both.format, len(both.rows)) == ("SB3 monitor", 12)
    assert both.rows[0]["return_mean"] == pytest.approx(np.mean([0, 10, 1, 20, 11]))
    assert both.rows[-1]["env_steps"] == 30 * 7 + 30 * 8
    assert other.rows[0]["return_mean"] == 1.0


def test_cleanrl_episodes_are_grouped_by_its_losses(tmp_path):
    scalars = [
        *(("charts/episodic_return", float(step), step) for step in range(20, 1001, 20)),
        *(("charts/episodic_length", 20.0, step) for step in range(20, 1001, 20)),
    ]
    for step in range(100, 1001, 100):
        scalars += [("losses/entropy", 0.6, step), ("losses/approx_kl", 0.01, step)]
        scalars += [("losses/clipfrac", 0.1, step), ("charts/SPS", 500.0, step)]
    log = read_logs(write_events(tmp_path, scalars))[0]
    assert len(log.rows) == 10
    assert log.rows[1] == pytest.approx(
        {
            "iteration": 2,
            "env_steps": 200.0,
            "return_mean": 160.0,
            "episode_length": 20.0,
            "episodes": 5.0,
            "entropy": 0.6,
            "kl": 0.01,
            "clip_fraction": 0.1,
            "env_steps_per_s": 500.0,
        }
    )


def test_episodes_without_losses_are_grouped(tmp_path):
    scalars = [("charts/episodic_return", float(i), 20 * i) for i in range(1, 101)]
    log = read_logs(write_events(tmp_path, scalars))[0]
    assert [row["return_mean"] for row in log.rows] == [5.0 * i + 3 for i in range(20)]


def test_a_log_of_unknown_names_says_which_it_has(tmp_path):
    write_events(tmp_path, [("my/profit", float(i), i) for i in range(5)])
    with pytest.raises(InputError, match=r"has my/profit, none of which .*'my/profit=return_mean'"):
        read_logs(tmp_path)
    log = read_logs(tmp_path, {"my/profit": "return_mean"})[0]
    assert [row["return_mean"] for row in log.rows] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_cut_event_file_is_read_and_a_damaged_one_refused(tmp_path):
    write_events(tmp_path, [("return", float(i), i) for i in range(1, 20)])
    path = events_file(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    assert len(read_logs(path)[0].rows) == 18
    path.write_bytes(data[:40] + struct.pack("<Q", 7) + data[48:])
    with pytest.raises(InputError, match="is damaged at record"):
        read_logs(path)


def test_a_plain_file_is_judged_by_the_rules_about_the_return(tmp_path):
    path = plain(
        tmp_path / "a.csv", step=list(range(0, 4000, 100)), **{"return": flat_returns(40, seed=2)}
    )
    answer = doctor(path)
    judged = ["not_finite", "no_episode_ends", "constant_reward"]
    judged += ["performance_collapse", "no_improvement"]
    assert answer["judged"] == judged
    assert set(answer["not_judged"]) == set(RULES) - set(answer["judged"])
    assert answer["not_judged"]["frozen_policy"].startswith("the log has no entropy")
    assert [f["symptom"] for f in answer["findings"]] == ["no_improvement"]
    assert answer["findings"][0]["log"] == "a.csv"
    learnt = plain(tmp_path / "b.csv", step=list(range(40)), **{"return": rising(40)})
    assert seen(learnt) == {}


def test_a_nan_between_numbers_is_an_empty_cell(tmp_path):
    rhythm = [float(i) if i % 4 == 0 else math.nan for i in range(40)]
    loss = [1.0] * 30 + [math.nan] * 10
    returns = rising(40)
    assert seen(plain(tmp_path / "a.csv", reward=returns, entropy=rhythm)) == {}
    broken = {"not_finite": ("stop", 31)}
    assert seen(plain(tmp_path / "b.csv", reward=returns, loss=loss)) == broken
    assert seen(plain(tmp_path / "c.csv", reward=returns[:30] + loss[30:])) == broken
    assert seen(plain(tmp_path / "d.csv", reward=returns, kl=loss)) == broken
    assert (
        seen(plain(tmp_path / "e.csv", reward=[*returns[:30], math.inf, *returns[31:]])) == broken
    )


def test_rows_are_counted_where_the_log_skips_iterations(tmp_path):
    path = plain(tmp_path / "a.csv", iteration=list(range(10, 110, 10)), reward=list(range(10)))
    log = read_logs(path)[0]
    assert [row["iteration"] for row in log.rows] == list(range(1, 11))
    assert log.history.budget_fraction_used == 1 / 3  # ten rows are too few for a whole run
    later = plain(tmp_path / "b.csv", iteration=[11, 12, 13], reward=[1, 2, 3])
    assert [row["iteration"] for row in read_logs(later)[0].rows] == [11, 12, 13]


def test_names_can_be_given_and_go_before_the_known_ones(tmp_path):
    path = plain(tmp_path / "a.csv", step=[1, 2], reward=[5.0, 6.0], profit=[7.0, 8.0])
    log = read_logs(path, {"profit": "return_mean"})[0]
    assert [row["return_mean"] for row in log.rows] == [7.0, 8.0]
    assert log.unmapped == ["reward"]
    with pytest.raises(InputError, match=r"'retrun_mean'.*did you mean return_mean"):
        read_logs(path, {"profit": "retrun_mean"})
    with pytest.raises(InputError, match=r"no column 'profits'.*did you mean profit"):
        read_logs(path, {"profits": "return_mean"})


def test_our_own_run_gives_the_findings_it_had_while_it_ran(tmp_path):
    log = EventLog(tmp_path / "run" / "events.jsonl")
    log.path.parent.mkdir()
    metrics = {"kl": 0.01, "entropy": 0.5, "nonfinite": 0}
    rows = []
    log.append(
        JobRow(run="run", env="e", algo="ppo", metric="cost", mode="min", iterations=40, trials=1)
    )
    log.append(TrialRow(trial="00", config={"lr": 0.1}))
    for i, score in enumerate(flat_returns(30), start=1):
        about: dict[str, Any] = {"trial": "00", "iteration": i, "seconds": 1.0, "env_steps": i}
        # The score is that of several iterations; the rules see what each of them measured.
        log.append(ResultRow(score=1.0, metrics=metrics | {"cost": score}, **about))
        rows.append(metrics | {"iteration": i, "cost": score, "env_steps": i})
    write_results(tmp_path / "run" / "trials" / "00" / "result.json", results())
    found = read_logs(tmp_path)
    assert [(one.name, one.format) for one in found] == [("run/00", "Rungwise run")]
    assert read_logs(tmp_path / "run")[0].name == "00"
    expected = diagnose(History(rows, 40, "cost", "min"))
    assert expected.findings
    assert diagnose(found[0].history) == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "step,return\n", "is empty"),
        ("a.csv", "step,return\n1,2\n2,much\n", "line 3: return is 'much', which is not a number"),
        ("a.csv", "# of me\nstep,return\n1,2,3\n", "line 3 has 3 cells, but the header has 2"),
        ("a.csv", "1,2\n2,3\n", "no header row"),
        ("a.csv", "step,profit\n1,2\n", "step, profit|has profit, none of which is known"),
        ("result.json", '{"a": 1}\nnonsense\n{"a": 2}\n', "line 2 is not JSON"),
        ("result.json", "[1]\n", "line 1 is not a JSON object"),
        ("result.json", "", "is empty"),
        ("0.monitor.csv", "#{}\nr,l,t\nx,1,2\n", "line 3 has no number for the return r"),
        ("notes.txt", "hello", "none of the files that can be read"),
        ("events.out.tfevents.1", "hello, this is no event file", "no TensorBoard file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_logs(tmp_path / name)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"step,return\n1,\xff\xfe\n")
    with pytest.raises(InputError, match="not a text file"):
        read_logs(tmp_path / "a.csv")


def test_a_place_without_logs_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"There is no log in .*result\.json.*tfevents"):
        read_logs(tmp_path)
    with pytest.raises(InputError, match=r"There is no .*nowhere"):
        read_logs(tmp_path / "nowhere")


def test_a_log_of_one_row_is_too_short_and_says_what_is_needed(tmp_path):
    short = plain(tmp_path / "a.csv", step=[1], **{"return": [2.0]})
    (entry,) = doctor(short)["logs"]
    assert (entry["rows"], entry["rows_needed"], entry["findings"]) == (1, 15, [])
    assert entry["judged"] == ["not_finite"]
    assert "1 iteration of the 15" in entry["not_judged"]["no_improvement"]
    enough = plain(tmp_path / "b.csv", step=list(range(15)), **{"return": rising(15)})
    assert "no_improvement" in doctor(enough)["logs"][0]["judged"]


def test_a_row_that_does_not_fit_ends_its_log_and_no_other(tmp_path):
    plain(tmp_path / "a.csv", step=list(range(40)), reward=flat_returns(40, seed=2))
    for name, at in (("b", 20), ("c", 0)):
        lines = [f"{i},{i % 3}" for i in range(40)]
        lines[at] += ",7"
        (tmp_path / f"{name}.csv").write_text("step,reward\n" + "\n".join(lines) + "\n")
    answer = doctor(tmp_path)
    whole, cut, refused = answer["logs"]
    assert [entry["rows"] for entry in answer["logs"]] == [40, 20, 0]
    assert whole["note"] == ""
    assert "line 22 has 3 cells" in cut["note"] and "line 2 has 3 cells" in refused["note"]
    assert "no_improvement" in whole["judged"] and "no_improvement" in cut["judged"]


def test_several_paths_are_judged_in_one_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/progress.csv", "b/progress.csv"):
        plain(Path(name), step=list(range(40)), reward=flat_returns(40, seed=2))
    both = doctor(Path("a"), Path("b"), Path("b/progress.csv"))
    assert [log["name"] for log in both["logs"]] == ["a/progress.csv", "b/progress.csv"]
    assert (both["path"], both["paths"]) == (None, ["a", "b", "b/progress.csv"])
    alone = doctor(Path("a"))
    assert (alone["path"], alone["logs"][0]["name"]) == ("a", "a")
    assert both.keys() == alone.keys()
    with pytest.raises(InputError, match="There is no nowhere"):
        doctor(Path("a"), Path("nowhere"))


def test_every_number_that_is_not_finite_is_counted(tmp_path):
    sick = [1.0] * 30 + [math.nan] * 30
    for name in ("loss", "entropy"):
        path = plain(tmp_path / f"{name}.csv", reward=rising(60), **{name: sick})
        (finding,) = doctor(path)["findings"]
        assert finding["since"] == 31
        assert f"30 non-finite numbers, the first in {name} (nan)" in finding["evidence"]


def test_numbers_at_the_end_of_the_range_raise_no_warning(tmp_path, recwarn):
    ends = [1e308 * (-1) ** i for i in range(60)]
    assert doctor(plain(tmp_path / "a.csv", reward=ends, entropy=ends, kl=ends))["findings"]
    assert not recwarn.list


def test_updates_that_sb3_counts_since_the_start_are_differenced(tmp_path):
    rows = [
        {
            "time/total_timesteps": 256 * i,
            "time/fps": 900,
            "rollout/ep_rew_mean": 20.0,
            "train/n_updates": 10 * (i - 1) if i > 1 else None,
        }
        for i in range(1, 31)
    ]
    path = write_csv(tmp_path / "progress.csv", rows)
    (log,) = read_logs(path)
    assert [row.get("updates") for row in log.rows] == [None, *[10.0] * 29]
    assert log.unmapped == []
    assert "no_updates" in doctor(path)["judged"]


WAVES = [math.sin(i) + i / 20 for i in range(40)]


@pytest.mark.parametrize(
    ("columns", "likely"),
    [
        (dict.fromkeys(("alpha", "profit", "mean_reward_loss"), WAVES), "profit"),
        (dict.fromkeys(("alpha", "AccRewardTotal", "profit"), WAVES), "AccRewardTotal"),
        (dict.fromkeys(("rewards_std", "rew_train"), WAVES), "rew_train"),
        ({"alpha": range(40), "beta": [1.0] * 40, "gain": range(40)}, "gain"),
        ({"alpha": range(40), "beta": [1.0] * 40, "gamma_x": WAVES}, "gamma_x"),
        ({"a": [-w for w in WAVES], "b": WAVES}, "b"),
    ],
)
def test_of_an_unknown_log_the_likeliest_column_is_suggested(tmp_path, columns, likely):
    with pytest.raises(InputError, match=f"'{likely}=return_mean'"):
        read_logs(plain(tmp_path / "a.csv", **columns))


def test_a_log_without_a_return_says_which_column_may_be_it(tmp_path):
    path = plain(tmp_path / "a.csv", alpha=list(range(40)), profit=WAVES, entropy=WAVES)
    assert doctor(path)["logs"][0]["likely_return"] == "profit"
    known = plain(tmp_path / "b.csv", reward=WAVES, profit=WAVES)
    assert doctor(known)["logs"][0]["likely_return"] == ""


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("step,return\n1,2\n2,3\n3")
    assert len(read_logs(tmp_path / "a.csv")[0].rows) == 2
    path = write_results(tmp_path / "result.json", results())
    path.write_text(path.read_text()[:-40])
    assert len(read_logs(path)[0].rows) == 7


def test_every_known_name_is_of_a_metric_in_the_catalogue():
    assert {ours.name for ours in KNOWN.values()} <= {*METRICS, "iteration"}
    assert all(name == name.casefold() for name in KNOWN)
