"""A policy as a file acts as the policy does."""

import io
import itertools
import json

import numpy as np
import pytest
import torch

import poke
from poke.policies.export import safetensors, tracing
from poke.policies.policy import PolicyError

from .kinds import KINDS, masks_of, observations_of, policy_of

# torch says so of every use of TorchScript, which it goes on reading all the same.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*torch\.jit\..* is deprecated:DeprecationWarning")
STEPS, BATCH = 20, 50  # 1,000 actions, in steps because of memories


def by_safetensors(policy, tmp_path):
    file = tmp_path / "policy.safetensors"
    file.write_bytes(safetensors.to_bytes(policy.get_state(), {"step": 7}))
    loaded = poke.load(file)
    state = loaded.initial_state(BATCH)
    return lambda observation, mask: loaded.act(observation, action_mask=mask, state=state)


def by_graph(policy, run):
    """Feed a graph as somebody would who knows the file's metadata only."""
    size = policy.network.state_size
    state = np.zeros((BATCH, size), np.float32)

    def act(observation, mask):
        nonlocal state
        parts = [observation]
        if isinstance(observation, dict):
            rest = [observation[name] for name in ("camera", "gear", "state")]
            parts = [*observation["arm"], *rest]
        action, *after = run(
            [*parts, *([] if mask is None else [mask]), *([state] if size else [])]
        )
        state = after[0] if size else state
        return action

    return act


def by_torchscript(policy, tmp_path):
    module = torch.jit.load(io.BytesIO(tracing.torchscript(policy, {})))

    def run(given):
        with torch.no_grad():
            result = module(*map(torch.from_numpy, given))
        return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]

    return by_graph(policy, run)


def by_onnx(policy, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    import onnxruntime

    session = onnxruntime.InferenceSession(tracing.onnx(policy, {}))
    names = [given.name for given in session.get_inputs()]
    return by_graph(policy, lambda given: session.run(None, dict(zip(names, given, strict=True))))


# Those that `make test` meets: each takes a second.
ONNX = ("clip", "masked", "normalised", "one-hot", "several")
FORMATS = {"safetensors": by_safetensors, "torchscript": by_torchscript, "onnx": by_onnx}


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        pytest.param(
            format, kind, marks=pytest.mark.slow if format == "onnx" and kind not in ONNX else ()
        )
        for format, kind in itertools.product(FORMATS, KINDS)
    ],
)
def test_a_thousand_actions_are_those_of_the_policy(format, kind, tmp_path):
    policy = policy_of(kind)
    act = FORMATS[format](policy, tmp_path)
    state = policy.initial_state(BATCH)
    seen = []
    for step in range(STEPS):
        observation, mask = observations_of(policy, BATCH, step), masks_of(policy, BATCH, step)
        expected = policy.act(observation, action_mask=mask, state=state)
        action = act(observation, mask)
        assert action.dtype == expected.dtype
        assert action.shape == expected.shape
        if policy.action_space.continuous and format != "safetensors":
            assert np.allclose(action, expected, rtol=1e-5, atol=1e-6)
        else:
            assert np.array_equal(action, expected)
        seen.append(expected)
    assert len(np.unique(np.concatenate(seen).reshape(STEPS * BATCH, -1), axis=0)) >= 3


def test_a_safetensors_file_holds_all_that_the_policy_is(tmp_path):
    policy = policy_of("normalised")
    file = tmp_path / "named.anyhow"
    file.write_bytes(safetensors.to_bytes(policy.get_state(), {}))
    assert_same_state(poke.load(file).get_state(), policy.get_state())


def assert_same_state(state, expected):
    assert state["description"] == expected["description"]
    for part in ("network", "normalizer"):
        assert state[part].keys() == expected[part].keys()
        for name, value in expected[part].items():
            if isinstance(value, torch.Tensor):
                assert state[part][name].dtype == value.dtype
                assert torch.equal(state[part][name], value)
            else:
                assert state[part][name] == value


def test_every_flipped_byte_of_a_safetensors_file_is_noticed(tmp_path):
    data = safetensors.to_bytes(policy_of("normalised").get_state(), {"step": 7})
    generator = np.random.default_rng(0)
    file = tmp_path / "policy.safetensors"
    for place in [0, 9, len(data) - 1, *generator.integers(0, len(data), 60)]:
        damaged = bytearray(data)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(PolicyError) as raised:
            poke.load(file)
        assert str(raised.value).startswith(str(file))
        assert "\n" not in str(raised.value)
    file.write_bytes(data[:-5])
    with pytest.raises(PolicyError, match="is damaged"):
        poke.load(file)


def test_graphs_say_what_they_are_of():
    policy = policy_of("memory-parts")
    files = {tracing.METADATA: ""}
    torch.jit.load(io.BytesIO(tracing.torchscript(policy, {"step": 7})), _extra_files=files)
    said = json.loads(files[tracing.METADATA])
    assert said["inputs"] == [
        *("observation.arm.0", "observation.arm.1", "observation.camera", "observation.gear"),
        *("observation.state", "action_mask", "state"),
    ]
    assert said["outputs"] == ["action", "next_state"]
    assert said["about"] == {"step": 7}
    assert said["observation_space"] == policy.observation_space.to_dict()
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    import onnxruntime

    session = onnxruntime.InferenceSession(tracing.onnx(policy, {"step": 7}))
    assert json.loads(session.get_modelmeta().custom_metadata_map["poke"]) == said
    assert [given.name for given in session.get_inputs()] == said["inputs"]
    assert [given.name for given in session.get_outputs()] == said["outputs"]


class Moody(torch.nn.Module):
    """Does one thing or another, as Python decides."""

    def __init__(self, *, num_outputs):
        super().__init__()
        self.layer = torch.nn.Linear(4, num_outputs)

    def forward(self, observation):
        if len(observation) == 3:
            return -self.layer(observation)
        return self.layer(observation)


@pytest.mark.parametrize("format", ["torchscript", "onnx"])
def test_a_network_that_cannot_be_traced_is_refused(format):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra export")
    policy = policy_of("discrete")
    policy.network.policy = Moody(num_outputs=5)
    policy._inference.use_torch()
    with pytest.raises(PolicyError, match="its network cannot be traced: ") as raised:
        getattr(tracing, format)(policy, {})
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(tracing, "NEEDED", ("onnx_that_nobody_has",))
    with pytest.raises(PolicyError) as raised:
        tracing.onnx(policy_of("discrete"), {})
    assert str(raised.value) == (
        "--format onnx needs onnx_that_nobody_has: pip install 'poke[export]'"
    )


def test_weights_that_share_memory_are_written_twice(tmp_path):
    policy = policy_of("discrete")
    state = policy.get_state()
    weights = dict(state["network"])
    name = next(iter(weights))
    state["network"] = {**weights, "again": weights[name]}
    assert safetensors.to_bytes(state, {})


def test_what_is_no_tensor_is_refused_by_name():
    state = policy_of("discrete").get_state()
    state["network"]["_extra_state"] = {"a": 1}
    with pytest.raises(PolicyError, match=r"network\._extra_state is no tensor"):
        safetensors.to_bytes(state, {})
