"""Points at their own paces become iterations, also while they are still being logged."""

from foreign_logs import write_events

from rungwise.logs.discovery import find_readers
from rungwise.logs.formats.points import FEWEST_ALONE, Points

TAGS = ("charts/learning_rate", "losses/entropy", "losses/value_loss")


def make_points(iterations, episodes=4):
    """What CleanRL logs: some episodes, then the losses at the step of the iteration."""
    points = []
    for i in range(1, iterations + 1):
        steps = [100 * (i - 1) + 20 * (j + 1) for j in range(episodes)]
        points += [("charts/episodic_return", step, float(step)) for step in steps]
        points += [(tag, 100 * i, float(i)) for tag in TAGS]
        if i % 3 == 0:
            points.append(("eval/own", 100 * i + 50, 1.0))
    return points


def test_iterations_made_live_are_those_of_the_finished_log():
    whole = Points({})
    whole.add("a", make_points(20))
    expected = whole.take(final=True)
    live = Points({})
    records = []
    for point in make_points(20):
        live.add("a", [point])
        records += live.take(final=False)
    assert len(records) == 19  # the last may still get another metric
    records += live.take(final=True)
    for record, other in zip(records, expected, strict=True):
        assert record.location == other.location
        assert {k: v for k, v in record.values.items() if k != "eval/own"} == {
            k: v for k, v in other.values.items() if k != "eval/own"
        }


def test_points_of_returned_iterations_are_forgotten():
    live = Points({})
    for point in make_points(200):
        live.add("a", [point])
        live.take(final=False)
        held = sum(len(values) for values in live._sources["a"].values())
        assert held < 20


def test_a_log_of_episodes_alone_is_grouped_while_it_grows():
    live = Points({})
    counts = []
    for i in range(FEWEST_ALONE):
        live.add("a", [("charts/episodic_return", 20 * i, float(i))])
        counts.append(len(live.take(final=False)))
    assert sum(counts[:-1]) == 0 and counts[-1] == FEWEST_ALONE // 5


def test_steps_from_zero_are_iterations_and_others_steps():
    for steps, name in (([0, 1, 2], "iteration"), ([1, 2, 3], "iteration"), ([5, 6], "env_steps")):
        points = Points({})
        points.add("a", [("losses/entropy", step, 1.0) for step in steps])
        records = points.take(final=True)
        assert [record.values[name] for record in records] == steps


def test_losses_counted_by_updates_belong_to_the_step_after_them():
    points = Points({})
    live = []
    for i in range(1, 6):
        points.add("a", [("update/update_step", 8 * i, 8.0), ("update/ent_loss/mean", 8 * i, -i)])
        points.add("a", [("training/env_step", 200 * i, 200.0 * i)])
        points.add("a", [("training/returns_stat/mean", 200 * i, float(i))])
        # At the end of an epoch, whose number is the step.
        points.add("a", [("info/epoch", i, float(i))])
        live += points.take(final=False)
    records = live + points.take(final=True)
    assert [record.values["update/ent_loss/mean"] for record in records] == [-1, -2, -3, -4, -5]
    assert [record.location for record in records] == [f"step {200 * i}" for i in range(1, 6)]


def test_an_event_file_that_appears_later_is_read(tmp_path):
    write_events(tmp_path, [(tag, float(i), i) for i in range(1, 6) for tag in TAGS])
    (reader,) = find_readers(tmp_path)
    first = reader.read()
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / "events.out.tfevents.1")
    (reader,) = find_readers(tmp_path)
    first = reader.read()
    assert len(first) == 4
    again = tmp_path / "later"
    write_events(again, [(tag, float(i), i) for i in range(4, 9) for tag in TAGS])
    next(again.iterdir()).rename(tmp_path / "events.out.tfevents.2")
    steps = [record.location for record in (*reader.read(), *reader.read(final=True))]
    assert steps == [f"step {i}" for i in (4, 5, 6, 7, 8)]
    assert len(reader.files) == 2


def test_a_resume_at_other_steps_replaces_what_it_repeats():
    points = Points({})
    points.add("1", [(tag, step, 1.0) for step in range(100, 1001, 100) for tag in TAGS])
    points.add("2", [(tag, step, 2.0) for step in range(550, 851, 150) for tag in TAGS])
    steps = [record.location for record in points.take(final=True)]
    assert steps == [f"step {i}" for i in (100, 200, 300, 400, 500, 550, 700, 850)]


def test_points_without_a_step_are_numbered_in_their_order():
    points = Points({})
    for value in (1.0, 2.0, 3.0):  # one that is followed live
        points.add("", [(tag, 0, value) for tag in TAGS])
    records = points.take(final=True)
    assert [record.values["losses/entropy"] for record in records] == [1.0, 2.0, 3.0]
    points = Points({})
    points.add("", [(tag, step, 1.0) for step in (0, 0, 8) for tag in TAGS])
    assert [record.location for record in points.take(final=True)] == ["step 0", "step 8"]
