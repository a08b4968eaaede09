import os
import shutil

import pytest

from poke.comparison.reading.collection import read_runs
from poke.comparison.showing.family import family_tree


def tree(root, name, **options):
    runs = read_runs([root], cache=False)
    (run,) = [run for run in runs if run.name == f"{root}/{name}"]
    return family_tree(run, runs, **options).replace(f"{root}/", "").splitlines()


def parent(run, how="fork", step=None, file=None):
    return {"run": str(run), "file": file, "step": step, "how": how}


@pytest.fixture
def family(tmp_path, write_run, session):
    """A mother, two forks, weights taken from one of them, and jobs of a sweep that began with those."""
    root = tmp_path / "outputs"
    later = {"started": "2026-03-02T12:00:00+00:00"}
    write_run(root, "day/mother", sessions=[session()] * 3)
    forked = {"parent": parent(root / "day/mother", step=500)}
    write_run(root, "day/b_first", **forked, sessions=[session()] * 2)
    write_run(root, "day/a_second", **forked, **later, status="failed")
    weights = parent("day/b_first/checkpoints/best.pt", "init_from")
    for seed in range(2):
        about = {"seed": seed, "parent": weights, "sessions": [session(cwd=str(root))]}
        write_run(root, f"sweep/seed{seed}", **about)
    (root / "sweep/sweep.csv").write_text("job,status\n")
    write_run(root, "day/stranger")
    return root


def test_the_whole_family_of_any_of_its_members(family):
    lines = [
        "day/mother: finished, step 1000, resumed 2 times",
        "├─ day/b_first: finished, step 1000, forked at step 500, resumed once",
        "│  ├─ sweep/seed0: finished, step 1000, took its weights, job of sweep sweep",
        "│  └─ sweep/seed1: finished, step 1000, took its weights, job of sweep sweep",
        "└─ day/a_second: failed, step 1000, forked at step 500",
    ]

    for place, name in enumerate(("day/mother", "day/b_first", "sweep/seed0", "sweep/seed1")):
        shown = tree(family, name)
        assert shown == [
            line + ("  <- asked for" if at == place else "") for at, line in enumerate(lines)
        ]
    assert tree(family, "day/stranger") == ["day/stranger: finished, step 1000  <- asked for"]
    assert "\n".join(tree(family, "day/mother", ascii_only=True)).isascii()


def test_an_ancestor_outside_the_searched_folder_is_found(family, tmp_path):
    shutil.move(family / "sweep", tmp_path / "elsewhere")
    (run, _) = read_runs([tmp_path / "elsewhere"], cache=False)

    assert "/day/mother: " in family_tree(run, [run]).splitlines()[0]


def test_a_parent_that_is_gone_is_said_and_its_children_stay_together(family):
    shutil.rmtree(family / "day/mother")

    lines = tree(family, "day/a_second")

    assert lines[0] == "day/mother: no run there now"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "├─ day/b_first",
        "│  ├─ sweep/seed0",
        "│  └─ sweep/seed1",
        "└─ day/a_second",
    ]


def test_a_family_that_moved_together_is_found_by_names(family, tmp_path):
    before = tree(family, "sweep/seed1")
    os.rename(family, tmp_path / "archive")

    assert tree(tmp_path / "archive", "sweep/seed1") == before


def test_a_run_that_descends_from_itself_ends(tmp_path, write_run):
    write_run(tmp_path, "a", parent=parent(tmp_path / "b"))
    write_run(tmp_path, "b", parent=parent(tmp_path / "a"))
    write_run(tmp_path, "c", parent=parent(tmp_path / "c"))

    assert sum("which descends from itself" in line for line in tree(tmp_path, "a")) == 1
    assert len(tree(tmp_path, "c")) == 3
