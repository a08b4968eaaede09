"""Networks that remember: an encoder, a recurrent layer and a head.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014 (GRU); Hochreiter and Schmidhuber,
"Long Short-Term Memory", Neural Computation 1997 (LSTM).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from poke.networks.encoding.encoder import Encoder

MEMORIES: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class MemoryNetwork(nn.Module):
    """Maps observations and what is remembered to outputs and what is remembered from then on.

    What it remembers of an episode is a row of `state_size` float32 numbers, zeros where an episode begins: a GRU's
    hidden state, or an LSTM's hidden state and its cell side by side.

    Args:
        encoder: maps `[batch, *observation_shape]` to `[batch, encoder.size]` float32.
        num_outputs: size of the last layer.
        memory: gru or lstm.
        memory_size: width of the hidden state.
    """

    def __init__(
        self, encoder: Encoder, num_outputs: int, *, memory: str, memory_size: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.memory = MEMORIES[memory](encoder.size, memory_size)
        self.head = nn.Linear(memory_size, num_outputs)
        self._sizes = [memory_size] * (2 if memory == "lstm" else 1)
        self.state_size = sum(self._sizes)

    def step(self, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of each episode of a batch.

        Args:
            observation: `[batch, *observation_shape]`.
            state: `[batch, state_size]` float32.

        Returns:
            `[batch, num_outputs]` float32, and the next state.
        """
        encoded = self.encoder(observation).unsqueeze(0)
        hidden, after = self.memory(encoded, self._apart(state))
        return self.head(hidden.squeeze(0)), self._together(after)

    def unroll(self, observation: Tensor, state: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
        """Do what a `step` for each time does, in one pass.

        Args:
            observation: `[time, batch, *observation_shape]`.
            state: `[batch, state_size]` float32, before the first time.
            begins: `[time, batch]` bool, where the row is the first of an episode: nothing from before is remembered.

        Returns:
            `[time, batch, num_outputs]` float32, and the state after the last time.
        """
        time, batch = begins.shape
        encoded = self.encoder(observation.flatten(0, 1)).unflatten(0, (time, batch))
        # Every stretch without a beginning in it is a sequence of its own, so that all of them run side by side.
        first = begins.T.clone()
        first[:, 0] = True
        starts = first.flatten().nonzero().squeeze(1)
        lengths = torch.diff(starts, append=starts.new_tensor([time * batch])).tolist()
        stretches = encoded.transpose(0, 1).flatten(0, 1).split(lengths)
        opening = starts % time == 0  # the batch's rows in order, one such stretch each
        before = state.new_zeros(len(starts), self.state_size)
        before[opening] = state * ~begins[0].unsqueeze(1)
        hidden, after = self.memory(
            pack_sequence(stretches, enforce_sorted=False), self._apart(before)
        )
        outputs = self.head(torch.cat(unpack_sequence(hidden)))
        closing = opening.roll(-1)
        return (
            outputs.unflatten(0, (batch, time)).transpose(0, 1),
            self._together(after)[closing],
        )

    def _apart(self, state: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Turn rows into what torch's layer takes: `[1, batch, size]`, one or a pair."""
        parts = tuple(part.contiguous().unsqueeze(0) for part in state.split(self._sizes, dim=1))
        return parts if len(parts) > 1 else parts[0]

    def _together(self, state: Tensor | tuple[Tensor, ...]) -> Tensor:
        parts = state if isinstance(state, tuple) else (state,)
        return torch.cat([part.squeeze(0) for part in parts], dim=1)
