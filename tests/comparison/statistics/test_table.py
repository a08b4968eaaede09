import math

import pytest

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.collection import read_runs
from poke.comparison.showing.rendering import Style, render
from poke.comparison.statistics.selection import filter_runs
from poke.comparison.statistics.table import Question, compare


def ask(root, **question):
    return compare(read_runs([root], cache=False), Question(**question))


def labels(comparison):
    return [row.group.label for row in comparison.rows]


def test_only_settings_that_differ_tell_groups_apart(sweep):
    comparison = ask(sweep)

    assert comparison.keys == ["algo.lr"]
    assert labels(comparison) == ["algo.lr=0.001", "algo.lr=0.0001"]
    assert comparison.equal == {"algo.name": "bc", "trainer.max_steps": 1000}
    assert [row.chosen.n for row in comparison.rows] == [4, 4]


def test_a_missing_setting_counts_as_different(tmp_path, write_run):
    write_run(tmp_path, "a", {"algo": {"lr": 1}})
    write_run(tmp_path, "b", {"algo": {"lr": 1, "tau": None}})

    assert ask(tmp_path).keys == ["algo.tau"]
    assert sorted(labels(ask(tmp_path))) == ["algo.tau=null", "all runs"]


@pytest.mark.parametrize("says", ["itself", "nothing"])
def test_how_a_run_was_started_watched_and_kept_tells_no_groups_apart(tmp_path, write_run, says):
    told = {"bookkeeping": ["logger", "resume", "fork", "sweep", "trainer.max_seconds", "eval.video",
                            "data.on_change", "checkpoint.save_every"]}  # fmt: skip
    for i in range(3):
        kept = {
            "logger": {"cli": {"on": i}},
            "checkpoint": {"save_every": i, "monitor": "val/loss"},
        }
        config = {"x": 1, "trainer": {"max_seconds": i}, "data": {"on_change": f"{i}"}, **kept}
        config |= {"eval": {"video": i}} if says == "itself" else {}
        config |= {"resume": i, "fork": i, "sweep": {"name": i}}
        write_run(tmp_path, f"run{i}", config, seed=i, **(told if says == "itself" else {}))
    comparison = ask(tmp_path)
    assert comparison.keys == []
    assert comparison.equal == {"x": 1, "checkpoint.monitor": "val/loss"}
    assert len(ask(tmp_path, by=["checkpoint.save_every"]).rows) == 3
    assert labels(ask(tmp_path, by=["trainer.max_seconds"]))[0] == "trainer.max_seconds=0"


def test_a_device_that_was_chosen_automatically_is_the_one_that_was_used(tmp_path, write_run):
    for seed, (asked, used) in enumerate((("auto", "cpu"), ("cpu", "cpu"), ("auto", "cuda"))):
        write_run(tmp_path, f"{asked}-{used}", {"device": asked}, seed=seed, device=used)

    comparison = ask(tmp_path)

    assert {row.group.label: row.chosen.n for row in comparison.rows} == {
        "device=cpu": 2,
        "device=cuda": 1,
    }
    assert len(filter_runs(read_runs([tmp_path], cache=False), "device=cuda")) == 1


def test_a_setting_that_came_later_has_its_default_in_runs_from_before(tmp_path, write_run):
    """A run says which defaults its poke has; one of another kind may lack the setting for other reasons."""
    mine = {"algo": {"_target_": "poke.PPO", "lr": 1}}
    says = {"defaults": {"algo.patience": 0, "env": None}}
    write_run(tmp_path, "before", mine, seed=0)
    write_run(tmp_path, "after", {"algo": {**mine["algo"], "patience": 0}}, seed=1, **says)
    write_run(tmp_path, "patient", {"algo": {**mine["algo"], "patience": 5}}, seed=2, **says)
    assert {row.group.label: row.chosen.n for row in ask(tmp_path).rows} == {
        "algo.patience=0": 2,
        "algo.patience=5": 1,
    }

    write_run(tmp_path, "other", {"algo": {"_target_": "poke.BC", "lr": 1}}, seed=3)
    assert any("patience" not in label for label in labels(ask(tmp_path)))


def test_twins_count_once_and_are_named_in_one_line(tmp_path, write_run):
    def rows(seed, clock):
        return [
            {"step": step, "train/loss": 1 / (step + seed + 3), "time/steps_per_second": clock,
             "system/memory": clock, "val/loss": seed + 1 / (step + 3)}
            for step in (0, 50, 100)
        ]  # fmt: skip

    for lr in (1, 2):
        for seed in range(3):
            write_run(tmp_path, f"{lr}-{seed}", {"lr": lr}, rows(seed + lr / 7, seed), seed=seed)
    without = ask(tmp_path, baseline="lr=2")
    for name, seed, clock in (("again", 1, 9.5), ("copy", 1, 7.5), ("ignored", 7, 1)):
        write_run(tmp_path, name, {"lr": 1}, rows(1 + 1 / 7, clock), seed=seed)

    comparison = ask(tmp_path, baseline="lr=2")

    assert [row.chosen for row in comparison.rows] == [row.chosen for row in without.rows]
    assert comparison.rows[0].contrast == without.rows[0].contrast
    assert comparison.num_runs == 6
    assert comparison.notes == [
        f"bit-identical but for the time, counted once: {tmp_path}/1-1, {tmp_path}/again, "
        f"{tmp_path}/copy, ..."
    ]


def test_runs_that_agree_by_chance_or_in_their_ends_only_are_no_twins(tmp_path, write_run):
    for seed in range(3):  # a solved game
        write_run(tmp_path, f"{seed}", {"x": 1}, [{"step": 9, "val/loss": 500.0}], seed=seed)
    for name, middle in (("one", 0.5), ("two", 0.6)):
        values = enumerate((0.1, middle, 0.9, 0.7))
        rows = [{"step": step, "val/loss": value} for step, value in values]
        write_run(tmp_path, name, {"x": 2}, rows)

    comparison = ask(tmp_path)

    assert sorted(row.chosen.n for row in comparison.rows) == [2, 3]
    assert not any("identical" in note for note in comparison.notes)


def test_numbers_are_equal_by_value_and_true_is_not_one(tmp_path, write_run):
    for name, value in (("a", 1), ("b", 1.0), ("c", True)):
        write_run(tmp_path, name, {"x": value})

    assert sorted(labels(ask(tmp_path))) == ["x=1", "x=true"]


def test_last_and_best_stand_side_by_side_and_last_decides(sweep):
    row = ask(sweep).rows[0]

    assert row.chosen == row.last
    assert row.last.mean == pytest.approx(1.215)
    assert row.best.mean == pytest.approx(0.985)
    assert row.chosen.low < row.chosen.mean < row.chosen.high


@pytest.mark.parametrize(
    ("at", "mean"), [("last", 1.215), ("best", 0.985), (500, 0.985), (999, 0.985), (0, 2.0)]
)
def test_the_value_at_a_step_is_the_newest_up_to_it(sweep, at, mean):
    assert ask(sweep, at=at).rows[0].chosen.mean == pytest.approx(mean)


def test_a_run_that_has_not_reached_the_step_is_set_aside(tmp_path, write_run):
    write_run(tmp_path, "early", rows=[{"step": 5, "val/loss": 1.0}])
    write_run(tmp_path, "late", rows=[{"step": 50, "val/loss": 1.0}])

    comparison = ask(tmp_path, at=10)

    assert [(run.name.rpartition("/")[2], why) for run, why in comparison.aside] == [
        ("late", "not at step 10 yet")
    ]


def test_failed_and_stale_runs_are_listed_and_never_averaged_in_silently(sweep):
    comparison = ask(sweep)

    assert sorted((run.name.rpartition("/")[2], why) for run, why in comparison.aside) == [
        ("broken", "failed"),
        ("vanished", "stale"),
    ]
    assert comparison.num_runs == 8
    assert ask(sweep, include_failed=True).num_runs == 10
    assert ask(sweep, include_failed=True).rows[0].last.mean == pytest.approx(
        (4 * 1.215 + 0.002) / 6
    )


@pytest.mark.parametrize("status", ["failed", "interrupted", "created", "running"])
def test_no_unfinished_run_counts(tmp_path, write_run, hold, status):
    write_run(tmp_path, "whole")
    hold(write_run(tmp_path, "part", status=status))

    assert [why for _, why in ask(tmp_path).aside] == [status]


def test_what_was_changed_while_runs_ran_is_said(tmp_path, write_run, session):
    changed = [session(), session(from_step=500, changed={"algo.gamma": [0.99, 0.9]})]
    also = [
        *changed,
        session(
            from_step=600, changed={"algo.gamma": [0.9, 0.8], "algo.lr": [1, 2], "logger.x": [1, 2]}
        ),
    ]
    write_run(tmp_path, "a", seed=0, sessions=also)
    write_run(tmp_path, "b", seed=1, sessions=changed)
    write_run(tmp_path, "c", seed=2)
    write_run(tmp_path, "d", seed=3, sessions=also, status="failed")

    assert ask(tmp_path).notes == [
        f"algo.gamma changed while they ran: {tmp_path}/a, {tmp_path}/b",
        f"algo.lr changed while it ran: {tmp_path}/a",
    ]


def test_runs_of_other_programs_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/metrics.csv").write_text("step,val_loss\n1,2\n")

    comparison = ask(tmp_path)

    assert comparison.metric == "val_loss"
    assert labels(comparison) == [f"run={tmp_path}/a"]


def test_a_repeated_seed_is_said_aloud(sweep, write_run):
    config = {"algo": {"lr": 1e-3, "name": "bc"}, "trainer": {"max_steps": 1000}}
    write_run(sweep, "again", config, seed=2)

    (note,) = ask(sweep).notes

    assert note.startswith("seed 2 stands 2 times in algo.lr=0.001: ")
    assert "again" in note


def test_a_seed_in_different_settings_is_not_repeated(sweep):
    assert ask(sweep, by=["algo.name"]).notes == []


def test_a_run_that_ended_in_nan_is_said_aloud_and_comes_last(sweep, write_run):
    config = {"algo": {"lr": 1.0, "name": "bc"}, "trainer": {"max_steps": 1000}}
    write_run(sweep, "nan", config, [{"step": 1, "val/loss": math.nan}])

    comparison = ask(sweep)

    assert labels(comparison)[-1] == "algo.lr=1"
    assert math.isnan(comparison.rows[-1].chosen.mean)
    assert comparison.notes == ["1 of 1 runs of algo.lr=1 ended in NaN or infinity"]
    assert labels(ask(sweep, at="best", mode="max"))[-1] == "algo.lr=1"


def test_a_run_without_the_metric_is_set_aside(sweep, write_run):
    write_run(sweep, "other", rows=[{"step": 1, "train/loss": 1.0}])

    assert "no val/loss" in [why for _, why in ask(sweep).aside]


def test_by_pools_the_other_settings_in_strata(sweep):
    comparison = ask(sweep, by=["name"])

    (row,) = comparison.rows
    assert row.group.label == "algo.name=bc"
    assert sorted(map(len, row.group.strata)) == [4, 4]
    assert row.chosen.high - row.chosen.low < 0.05 < row.chosen.std


def test_by_run_lists_each_run(sweep):
    assert len(ask(sweep, by=["run"]).rows) == 8


def test_top_keeps_the_best_and_the_baseline(sweep, write_run):
    comparison = compare(read_runs([sweep], cache=False), Question(baseline="lr=1e-4"), top=1)

    assert labels(comparison) == ["algo.lr=0.001", "algo.lr=0.0001"]
    assert comparison.num_groups == 2


def test_more_is_better_turns_the_order(sweep):
    assert labels(ask(sweep, mode="max"))[0] == "algo.lr=0.0001"


def test_against_a_baseline(sweep):
    comparison = ask(sweep, baseline="algo.lr=1e-4")

    best, baseline = comparison.rows
    assert comparison.baseline == "algo.lr=0.0001"
    assert baseline.contrast is None
    assert best.contrast.difference == pytest.approx(-0.5)
    assert best.contrast.low < -0.5 < best.contrast.high < 0
    assert best.contrast.p < 1e-3
    assert best.contrast.improvement == 1.0


def test_no_p_value_that_nobody_asked_for(sweep):
    assert [row.contrast for row in ask(sweep).rows] == [None, None]


@pytest.mark.parametrize("wanted", ["algo.lr=7", "algo.name=bc", "bc"])
def test_a_baseline_that_names_no_single_group_is_refused(sweep, wanted):
    with pytest.raises(ComparisonError, match=r"algo.lr=0.001; algo.lr=0.0001"):
        ask(sweep, baseline=wanted)


def test_an_unknown_metric_names_near_ones(sweep):
    with pytest.raises(
        ComparisonError, match=r"no run has a metric val/los \(did you mean val/loss\?\)"
    ):
        ask(sweep, metric="val/los")
    assert ask(sweep, metric="loss").metric == "val/loss"


def test_an_unknown_setting_names_near_ones(sweep):
    with pytest.raises(ComparisonError, match=r"setting algo.lrr \(did you mean algo.lr"):
        ask(sweep, by=["algo.lrr"])


def test_a_metric_whose_better_way_nobody_knows_asks_for_the_mode(tmp_path, write_run):
    write_run(tmp_path, "a", rows=[{"step": 1, "train/grad_norm": 1.0}])

    with pytest.raises(ComparisonError, match="--mode max or --mode min"):
        ask(tmp_path, metric="train/grad_norm")


def test_the_runs_own_monitor_chooses_metric_and_mode(tmp_path, write_run):
    best = {"metric": "val/odd", "mode": "max", "value": 2.0, "step": 1}
    rows = [{"step": 1, "val/loss": 1.0, "val/odd": 2.0}]
    write_run(tmp_path, "a", rows=rows, best=best)

    comparison = ask(tmp_path)

    assert (comparison.metric, comparison.mode) == ("val/odd", "max")
    assert comparison.mode_source == "as the runs monitored it"


def test_where_a_run_is_kept_is_no_setting(tmp_path, write_run):
    write_run(tmp_path, "a", {"sweep": {"name": "x"}, "resume": None}, seed=0)
    write_run(tmp_path, "b", {"sweep": {"name": "y"}, "resume": "a"}, seed=1)

    assert ask(tmp_path).keys == []


def test_without_a_finished_run_there_is_an_empty_table_and_what_there_is_is_listed(
    tmp_path, write_run
):
    write_run(tmp_path, "a", status="failed")
    write_run(tmp_path, "b", status="running", age_seconds=90_000)

    comparison = ask(tmp_path)

    assert comparison.rows == []
    assert [why for _, why in comparison.aside] == ["failed", "stale"]
    for form in ("table", "csv", "md", "latex", "json"):
        assert render(comparison, form, Style(width=80))
