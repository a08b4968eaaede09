import os

from poke.comparison.reading.discovery import find_runs


def names(root):
    return [os.path.relpath(files.directory, root) for files in find_runs(str(root))]


def test_finds_runs_of_poke_and_of_other_programs(tmp_path, write_run):
    write_run(tmp_path, "2026-03-01/12-00-00-ab12")
    (tmp_path / "lightning_logs/version_0").mkdir(parents=True)
    (tmp_path / "lightning_logs/version_0/metrics.csv").write_text("step,loss\n")
    (tmp_path / "lightning_logs/version_0/hparams.yaml").write_text("lr: 1e-3\n")
    (tmp_path / "sb3").mkdir()
    (tmp_path / "sb3/progress.csv").write_text("time/total_timesteps\n")
    (tmp_path / "failed_early").mkdir()
    (tmp_path / "failed_early/run.json").write_text("{}")
    (tmp_path / "no_run").mkdir()
    (tmp_path / "no_run/config.json").write_text("{}")

    found = {
        os.path.relpath(files.directory, tmp_path): files for files in find_runs(str(tmp_path))
    }

    assert list(found) == [
        "2026-03-01/12-00-00-ab12",
        "failed_early",
        "lightning_logs/version_0",
        "sb3",
    ]
    assert found["lightning_logs/version_0"].config == "hparams.yaml"
    assert found["sb3"].metrics == "progress.csv"


def test_searches_neither_inside_a_run_nor_in_hidden_folders(tmp_path, write_run):
    run = write_run(tmp_path, "a")
    write_run(run, "checkpoints/nested")
    write_run(tmp_path, ".trash/b")

    assert names(tmp_path) == ["a"]


def test_a_loop_of_links_ends_and_a_linked_run_counts_once_by_its_own_name(tmp_path, write_run):
    run = write_run(tmp_path, "zoo/run")
    (tmp_path / "latest").symlink_to(run)
    (tmp_path / "zoo/up").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")

    assert names(tmp_path) == ["zoo/run"]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path, write_run):
    write_run(tmp_path / "disk", "run")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/more").symlink_to(tmp_path / "disk")

    assert names(tmp_path / "outputs") == ["more/run"]


def test_roots_that_overlap_give_each_run_once(tmp_path, write_run):
    write_run(tmp_path, "day/run")
    seen = set()

    found = [*find_runs(str(tmp_path), seen), *find_runs(str(tmp_path / "day"), seen)]

    assert len(found) == 1
