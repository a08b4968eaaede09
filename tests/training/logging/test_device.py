"""Tensors on a device: `log` never waits for it, and a flush fetches them in one transfer."""

import math

import pytest
import torch

from poke.training.logging import MetricsLogger
from poke.training.writers import MemoryWriter

READS = {"item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__index__", "to"}


class DeviceTensor(torch.Tensor):
    """A tensor that says it is not on the CPU and notes every call that would wait for a device."""

    reads = ()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = function.__name__
        if name == "__get__" and function.__self__ is torch.Tensor.is_cpu:
            return False
        if name in READS and not (name == "to" and isinstance(args[1], torch.dtype)):
            DeviceTensor.reads += (name,)
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.fixture(autouse=True)
def no_reads():
    DeviceTensor.reads = ()


def on_device(value, dtype=torch.float32):
    return torch.tensor(value, dtype=dtype).as_subclass(DeviceTensor)


def train_rows(memory):
    return [(step, metrics) for metrics, step, _ in memory.rows]


def test_log_reads_nothing_and_a_flush_reads_once():
    memory = MemoryWriter()
    logger = MetricsLogger(backends=[memory], backend_frequency=100)
    for step in range(1, 101):
        metrics = {"loss": on_device(float(step)), "lr": 0.5}
        metrics |= {"return": on_device([step], torch.int64), "nested": {"kl": on_device(2.0)}}
        logger.log(metrics, step)
        if step > 1:
            assert DeviceTensor.reads == ("tolist",)  # the first step's row
    logger.log({"loss": on_device(1.0)}, 101)
    assert DeviceTensor.reads == ("tolist",) * 2
    logger.close()
    assert train_rows(memory)[1] == (
        100,
        {"loss": 51.0, "lr": 0.5, "return": 51.0, "nested/kl": 2.0},
    )


def test_numbers_after_a_device_tensor_leave_it_to_be_fetched():
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory]) as logger:
        logger.log({"loss": on_device(1.0)}, 1)
        logger.log({"accuracy": 0.5}, 1)
    assert train_rows(memory) == [(1, {"loss": 1.0, "accuracy": 0.5})]


def test_two_sinks_share_one_transfer():
    logger = MetricsLogger(
        console=MemoryWriter(), backends=[MemoryWriter()], backend_frequency=50, cli_frequency=100
    )
    for step in range(1, 102):
        logger.log({"loss": on_device(1.0)}, step)
    assert DeviceTensor.reads == ("tolist",) * 3  # for steps 1, 50 and 100
    logger.close()


def test_a_long_window_is_fetched_a_few_times_and_holds_little():
    logger = MetricsLogger(backends=[MemoryWriter()], backend_frequency=10**6)
    for step in range(1, 1001):
        logger.log({"loss": on_device(1.0)}, step)
    assert len(DeviceTensor.reads) <= 10
    logger.close()


def test_a_tensor_that_is_written_to_after_the_call_is_logged_as_it_was():
    memory = MemoryWriter()
    loss = on_device(0.0)
    with MetricsLogger(backends=[memory], backend_frequency=10) as logger:
        for step in range(0, 11):
            loss.fill_(step)
            logger.log({"loss": loss}, step)
        loss.fill_(999)
    assert train_rows(memory) == [(0, {"loss": 0.0}), (10, {"loss": 5.5})]


def test_device_tensors_that_follow_tensors_on_the_cpu_are_not_read_at_once():
    logger = MetricsLogger(backends=[MemoryWriter()], backend_frequency=100)
    for step in range(1, 5):
        logger.log({"loss": torch.tensor(1.0)}, step)
    for step in range(5, 9):
        logger.log({"loss": on_device(1.0)}, step)
    assert not DeviceTensor.reads
    logger.close()


def test_an_event_and_a_state_bring_their_values_at_once():
    memory = MemoryWriter()
    logger = MetricsLogger(backends=[memory])
    logger.log({"loss": on_device(2.0)}, 1)
    assert logger.get_state()["streams"]["train"]["rows"] == [{"loss": 2.0}]
    logger.log({"loss": on_device(3.0)}, 1, category="val")
    assert memory.rows == [({"loss": 3.0}, 1, "val")]
    logger.close()


def test_non_finite_values_and_misfits_of_a_device_are_treated_like_others(caplog):
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory], backend_frequency=10) as logger:
        logger.log({"loss": on_device(1.0)}, 0)
        for step in range(1, 11):
            value = on_device(math.nan if step == 5 else 2.0)
            logger.log({"loss": value, "vector": on_device([1.0, 2.0])}, step)
    assert train_rows(memory)[1] == (10, {"loss": 2.0, "loss/nonfinite": 1.0})
    assert caplog.text.count("train/vector is not logged") == 1


def test_two_values_for_one_step_are_found_once_they_arrive(caplog):
    logger = MetricsLogger(backends=[MemoryWriter()])
    for _ in range(2):
        logger.log({"loss": on_device(1.0)}, 1)
    logger.log({"loss": on_device(2.0)}, 1)
    assert logger.num_conflicts == 0
    assert not DeviceTensor.reads
    logger.flush()
    assert logger.num_conflicts == 1
    assert "train/loss has two values at step 1: 1.0 and 2.0" in caplog.text
    logger.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_log_never_synchronises():
    memory = MemoryWriter()
    logger = MetricsLogger(backends=[memory], backend_frequency=100)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(2, 100):
            if step == 3:  # the row of the first step has been fetched
                torch.cuda.set_sync_debug_mode("error")
            if step == 2:
                torch.cuda.set_sync_debug_mode("default")
            value = torch.full((), 2.0, device="cuda")
            logger.log({"loss": value, "half": value.half(), "count": value.long()}, step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    logger.close()
    assert train_rows(memory)[-1] == (99, {"loss": 2.0, "half": 2.0, "count": 2.0})
