"""A policy's graph as a file: TorchScript for torch's own runtime, or ONNX for any other.

What was written is run before it is handed over: a network that looks at values or at the batch's size in Python is
traced wrongly, and says nothing.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from poke.networks.encoding.layout import byte_bounds
from poke.policies.export.graph import MASK, STATE, Acting, Input
from poke.policies.policy import Memory, Policy, PolicyError

METADATA = (
    "poke.json"  # TorchScript's extra file; ONNX has metadata of its own, under the key `poke`
)
NEEDED = ("onnx", "onnxscript", "onnxruntime")
BATCHES = (1, 3, 16)
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


def torchscript(policy: Policy, about: Mapping[str, Any]) -> bytes:
    """Return the file that `torch.jit.load` reads.

    Args:
        policy: on the CPU.
        about: what else is to be known of it, as JSON has values.

    Raises:
        PolicyError: it cannot be traced.
    """
    module = Acting(policy).eval()
    with _tracing(), torch.no_grad():
        traced = torch.jit.trace(module, _tensors(_examples(policy, module.inputs, 2)))
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, {METADATA: json.dumps(_described(policy, module, about))})
        loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))

    def run(given: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        with torch.no_grad():
            result = loaded(*_tensors(given))
        results = result if isinstance(result, tuple) else (result,)
        return [tensor.numpy() for tensor in results]

    with _tracing():
        _compare(policy, module.inputs, run)
    return buffer.getvalue()


def onnx(policy: Policy, about: Mapping[str, Any]) -> bytes:
    """Return the file that onnxruntime reads.

    Args:
        policy: as of `torchscript`.
        about: likewise.

    Raises:
        PolicyError: it cannot be traced, or the extra `export` is not installed.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise PolicyError(f"--format onnx needs {missing[0]}: pip install 'poke[export]'")
    import onnxruntime

    module = Acting(policy).eval()
    batch = torch.export.Dim("batch")
    with _tracing(), torch.no_grad():
        program = torch.onnx.export(
            module,
            _tensors(_examples(policy, module.inputs, 2)),
            dynamo=True,
            input_names=[given.name for given in module.inputs],
            output_names=list(module.outputs),
            dynamic_shapes=(tuple({0: batch} for _ in module.inputs),),
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props["poke"] = json.dumps(_described(policy, module, about))
        data = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        names = [given.name for given in module.inputs]
        _compare(
            policy,
            module.inputs,
            lambda given: session.run(None, dict(zip(names, given, strict=True))),
        )
    return data


def _described(policy: Policy, module: Acting, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "observation_space": policy.observation_space.to_dict(),
        "action_space": policy.action_space.to_dict(),
        "masked": policy.masked,
        "state_size": policy.network.state_size,
        "inputs": [given.name for given in module.inputs],
        "outputs": list(module.outputs),
        "about": dict(about),
    }


@contextmanager
def _tracing() -> Iterator[None]:
    """Turn what goes wrong within torch's exporters into one line, and keep to oneself what they say of themselves."""
    exporters = logging.getLogger("torch.onnx")
    before = exporters.level
    exporters.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PolicyError:
        raise
    except Exception as error:
        said = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise PolicyError(f"its network cannot be traced: {said[0]}") from error
    finally:
        exporters.setLevel(before)


def _compare(policy: Policy, inputs: Sequence[Input], run: Run) -> None:
    """Let graph and policy act on the same batches.

    Raises:
        PolicyError: they differ by more than two ways to sum the same numbers do.
    """
    for batch_size in BATCHES:
        given = _examples(policy, inputs, batch_size)
        by_name = {part.name: array for part, array in zip(inputs, given, strict=True)}
        state = by_name.get(STATE)
        memory = None if state is None else Memory(state.copy())
        expected = policy.act(
            _observation(policy, given), action_mask=by_name.get(MASK), state=memory
        )
        action = run(given)[0]
        # Of choices that are nearly as good as each other, either may come first.
        same = (action.shape == expected.shape) and (
            np.isclose(action, expected, rtol=1e-3, atol=1e-4).mean() >= 0.9
        )
        if not same:
            raise PolicyError(
                "its network cannot be traced: what was traced acts otherwise than the policy does"
            )


def _examples(policy: Policy, inputs: Sequence[Input], batch_size: int) -> list[np.ndarray]:
    """Return observations, masks and states that could be, drawn always alike."""
    generator = np.random.default_rng(batch_size)
    entries = policy.observation_space.entries
    drawn = []
    for given, entry in zip(inputs, [*entries, None, None], strict=False):
        shape = (batch_size, *given.shape)
        array: np.ndarray
        if given.name == MASK:
            array = generator.random(shape) < 0.5
            array[:, 0] = array[:, -1] = True  # every choice has a legal one
            begins = np.cumsum((0, *policy.action_space.sizes[:-1]))
            array[:, begins] = True
        elif entry is None:
            array = generator.standard_normal(shape)
        elif policy.observation_space.layout is not None:
            lowest, highest = (b.numpy() for b in byte_bounds(policy.observation_space.layout))
            array = generator.integers(lowest, highest, shape, endpoint=True)
        elif entry.kind == "discrete":
            sizes = np.reshape(entry.sizes, entry.shape)
            array = generator.integers(0, sizes, shape) + np.reshape(entry.starts, entry.shape)
        elif entry.kind == "binary" or np.issubdtype(given.dtype, np.integer):
            low, high = (0, 1) if entry.kind == "binary" else _ends(entry, given.dtype)
            array = generator.integers(low, high, shape, endpoint=True)
        else:
            array = generator.standard_normal(shape)
        drawn.append(array.astype(given.dtype))
    return drawn


def _ends(entry: Any, dtype: np.dtype) -> tuple[int, int]:
    known = np.iinfo(dtype)
    return (
        known.min if entry.low is None else int(entry.low),
        known.max if entry.high is None else int(entry.high),
    )


def _observation(policy: Policy, parts: Sequence[np.ndarray]) -> Any:
    """Put parts together as the environment would."""
    space = policy.observation_space
    if not space.packed and not space.entries[0].path:
        return parts[0]
    whole: dict[Any, Any] = {}
    for entry, part in zip(space.entries, parts, strict=False):
        node = whole
        for key in entry.path[:-1]:
            node = node.setdefault(key, {})
        node[entry.path[-1]] = part
    return whole


def _tensors(arrays: Sequence[np.ndarray]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)
