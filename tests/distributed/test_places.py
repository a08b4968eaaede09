"""Which rank a process is, by what started it."""

import pytest

from poke.distributed.places import Place, follows, place_given

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
}


def test_torchrun_says_where_a_process_stands():
    assert place_given(TORCHRUN) == Place(3, 4, 1, "node0", 29500, serves=False)
    first = place_given({**TORCHRUN, "RANK": "0"})
    assert first.serves
    elastic = {**TORCHRUN, "RANK": "0", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    assert not place_given(elastic).serves, "its agent holds the meeting place"
    assert follows(TORCHRUN)
    assert not follows({**TORCHRUN, "RANK": "0"})


def test_tasks_of_srun_meet_at_one_port():
    one, other = place_given(SRUN), place_given({**SRUN, "SLURM_PROCID": "0"})
    assert (one.rank, other.rank, one.size) == (1, 0, 2)
    assert (one.host, one.port) == (other.host, other.port)
    assert place_given({**SRUN, "SLURM_STEP_ID": "1"}).port != one.port
    assert (one.serves, other.serves) == (False, True)
    nowhere = {k: v for k, v in SRUN.items() if k != "SLURM_LAUNCH_NODE_IPADDR"}
    with pytest.raises(ValueError, match="set MASTER_ADDR"):
        place_given(nowhere)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # a batch script is one process
        {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
    ],
)
def test_one_process_is_alone(environ):
    assert place_given(environ) is None
    assert not follows(environ)
