"""Action values as distributions over fixed returns, and what a dueling network says of them.

Bellemare, Dabney and Munos, "A Distributional Perspective on Reinforcement Learning", ICML 2017 (C51), section 4;
dueling: Wang et al., "Dueling Network Architectures for Deep Reinforcement Learning", ICML 2016, as Hessel et al.,
"Rainbow", AAAI 2018, put both together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Atoms(nn.Module):
    """Reads distributions over returns from a network's outputs.

    The outputs are a logit for each action and atom, action by action; of a dueling network these are advantages, and
    one for each atom of the state's value stands behind them.

    Args:
        num: how many returns a distribution is over, evenly spaced.
        low: the least of them.
        high: the greatest.
        dueling: whether the outputs are those of a dueling network.

    Raises:
        ValueError: there are fewer than two atoms, or the greatest is not above the least.
    """

    support: Tensor

    def __init__(self, num: int, low: float, high: float, *, dueling: bool = False) -> None:
        super().__init__()
        if num < 2 or not low < high:
            raise ValueError(f"there are no {num} atoms from {low} to {high}")
        self.num, self.low, self.high, self.dueling = num, low, high, dueling
        support = torch.linspace(low, high, num, dtype=torch.float32)
        self.register_buffer("support", support, persistent=False)

    def logits(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the logits of each action's distribution, `[batch, num_actions, num]`.

        Of a dueling network they are `V + A - mean A` over legal actions, atom by atom: what is illegal is left out.

        Args:
            outputs: `[batch, num_outputs]` float32.
            action_mask: `[batch, num_actions]` bool, true where legal; None where everything is.
        """
        logits = outputs.unflatten(1, (-1, self.num))
        if not self.dueling:
            return logits
        advantage, value = logits[:, :-1], logits[:, -1:]
        if action_mask is None:
            return advantage + (value - advantage.mean(dim=1, keepdim=True))
        legal = action_mask.unsqueeze(2)
        usual = advantage.masked_fill(~legal, 0.0).sum(dim=1, keepdim=True)
        return advantage + (value - usual / legal.sum(dim=1, keepdim=True))

    def log_probs(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the logarithms of the atoms' probabilities, `[batch, num_actions, num]`; as of `logits`."""
        return self.logits(outputs, action_mask).log_softmax(dim=2)

    def values(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return what each action's return is expected to be, `[batch, num_actions]`.

        Of an illegal one it means nothing. As of `logits`.
        """
        return self.log_probs(outputs, action_mask).exp() @ self.support
