"""What rank 0 gives the others to begin with: the state that it begins with itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from poke.config.knobs import ConfigError
from poke.run.identity import fingerprint_of
from poke.training.trainer import Trainer

log = logging.getLogger("poke")


def give_out(trainer: Trainer) -> None:
    """As rank 0, give the others this state, and each what was its own in the checkpoint that a run goes on from.

    Where there were fewer ranks, new ones begin with what rank 0 has of the source: of a recording that is the place in
    an order which does not depend on how many they are; environments begin new episodes.

    Raises:
        ConfigError: another rank reads other data.
    """
    group: Any = trainer.ranks
    known: Sequence[Mapping[str, Any]] = trainer.others
    trainer.others = []
    if len(known) != group.size - 1 and trainer.step:
        log.info("going on with %d ranks, where there were %d", group.size, len(known) + 1)
    if group.size == 1:
        return
    here = fingerprint_of(trainer.source)
    for rank, there in enumerate(group.collect(lambda: None), start=1):
        if there != here:
            raise ConfigError(
                f"rank {rank} reads other data: {_name(there)}, and rank 0 reads {_name(here)}"
            )
    states = trainer.whole_states
    if not trainer.shares_weights:
        states = {
            "policy": trainer.algorithm.policy.get_state(),
            "algorithm": trainer.algorithm.get_state(),
        }
    trainer.whole_states = {}
    common = {
        "policy": states.get("policy"),
        "algorithm": states.get("algorithm"),
        "trainer": trainer.get_state(),
        "begins": trainer.begins_here,
    }
    source = trainer.source.get_state() if trainer.step else None
    parts = [
        known[rank - 1] if rank <= len(known) else {"source": source, "random": None}
        for rank in range(1, group.size)
    ]
    group.hand_out([None, *({**common, **part} for part in parts)])


def take_up(trainer: Trainer) -> None:
    """As another rank, take what rank 0 gives out."""
    group: Any = trainer.ranks
    group.collect(lambda: fingerprint_of(trainer.source))
    given = group.hand_out()
    policy = trainer.algorithm.policy
    if (state := given["policy"]) is not None:
        # Begun with the weights of another run, it may have others of its own.
        own = policy.get_state()["network"]
        policy.set_state({**state, "network": {**own, **state["network"]}})
    if given["algorithm"] is not None:
        trainer.algorithm.set_state(given["algorithm"])
    if given["source"] is not None:
        trainer.source.set_state(given["source"])
    trainer.set_state(given["trainer"])
    if given["random"] is not None:
        trainer.random_states.set_state(given["random"])
    if given["begins"]:
        trainer.begin_here()


def _name(data: Mapping[str, Any] | None) -> str:
    return "none" if data is None else str(data.get("name"))
