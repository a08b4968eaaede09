"""What behaviour cloning has to beat: accuracy of simple rules on the validation decisions of the shipped sample.

    python benchmarks/baselines.py [RUN_DIR]

With a run directory, its best checkpoint's accuracy is printed beside them.
"""

import argparse
import json
from pathlib import Path

import torch

from poke.data.demonstrations import Demonstrations
from poke.networks.encoding.layout import entities


def move_feature(observation, layout, name):
    """The own active Pokemon's value of a move feature, `[batch, 4]`."""
    group = next(g for g in layout["groups"] if g["name"] == "own")
    pokemon = layout["kinds"]["pokemon"]
    moves = pokemon["moves"]
    team = entities(observation, group)
    active = next(f["offset"] for f in pokemon["dense"] if f["name"] == "active")
    offset = next(f["offset"] for f in moves["dense"] if f["name"] == name)
    values = team[..., moves["offset"] :].unflatten(2, (moves["count"], moves["size"]))[..., offset]
    return (values * (team[..., active] == 1).unsqueeze(2)).sum(dim=1).float()


def matchup(observation, layout):
    """Each own Pokemon's matchup with the opposing active one, `[batch, 6]`."""
    group = next(g for g in layout["groups"] if g["name"] == "own")
    dense = layout["kinds"]["pokemon"]["dense"]
    offset = next(f["offset"] for f in dense if f["name"] == "matchup")
    return entities(observation, group)[..., offset].float()


def strongest(batch, layout, feature):
    """The legal move with the highest value of a feature; where no move is legal, the switch with the best matchup."""
    score = torch.zeros(batch.action_mask.shape)
    score[:, :6] = matchup(batch.observation, layout) - 1000
    score[:, 6:10] = move_feature(batch.observation, layout, feature)
    return score.masked_fill(~batch.action_mask, -1e9).argmax(dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", nargs="?", type=Path)
    arguments = parser.parse_args()
    source = Demonstrations("sample:gen1randombattle", batch_size=1 << 30, val_fraction=0.1)
    (batch,) = source.validation_batches(1 << 30)
    layout, (num_actions,) = source.observation_space.layout, source.action_space.sizes
    frequency = torch.bincount(source.sample().action, minlength=num_actions).float()
    most_frequent = frequency.expand_as(batch.action_mask).masked_fill(~batch.action_mask, -1)
    rules = {
        "random legal action (expected)": (1.0 / batch.action_mask.sum(dim=1)).mean(),
        "most frequent legal action": (most_frequent.argmax(dim=1) == batch.action).float().mean(),
        "legal move of most base power": (strongest(batch, layout, "base_power") == batch.action)
        .float()
        .mean(),
        "legal move of most expected damage": (strongest(batch, layout, "damage") == batch.action)
        .float()
        .mean(),
    }
    print(f"{source.num_training} training decisions, {source.num_validation} validation decisions")
    for name, accuracy in rules.items():
        print(f"{name:<36}{accuracy.item():.3f}")
    if arguments.run_dir:
        account = json.loads((arguments.run_dir / "run.json").read_text())
        index = (arguments.run_dir / "checkpoints" / "best.pt").resolve()
        metrics = torch.load(index, weights_only=True)["metadata"]["metrics"]
        print(f"{'behaviour cloning, ' + account['name']:<36}{metrics['val/accuracy']:.3f}")


if __name__ == "__main__":
    main()
