"""Battles of the simulator, each told to a chronicle of both players, who choose by dice."""

import functools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.pipes.hearing import Hearing
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.watching import Chronicle, Thoughts

NAMES = ("Ann", "Bob")


class Seat:
    """A player who chooses by dice and says what it thought."""

    def __init__(self, chronicle, tracker, seed, thinks):
        self.chronicle, self.tracker, self.hearing = chronicle, tracker, Hearing(tracker)
        self.generator = np.random.default_rng(seed)
        self.thinks = thinks

    def hear(self, lines):
        """Take a message, and return the choices it asks for."""
        heard = []
        for line in lines:
            decision = self.hearing.read(line)
            if line.startswith("|error|[Invalid"):
                decision = self.tracker.decision()
            heard += self.decide(decision)
            self.chronicle.line(line)
        return heard + self.decide(self.hearing.pause())

    def decide(self, decision):
        if decision is None:
            return []
        if decision.forced:
            self.chronicle.decided(decision, None, None, decision.forced)
            return [decision.forced]
        weights = self.generator.random(len(decision.mask)) ** 3 * decision.mask
        probabilities = (weights / weights.sum()).astype(np.float32)
        action = int(self.generator.choice(len(weights), p=weights / weights.sum()))
        choice = self.tracker.choice(action)
        value = float(np.tanh(self.generator.normal()))
        thoughts = Thoughts(probabilities, value) if self.thinks else None
        self.chronicle.decided(decision, thoughts, action, choice)
        return [choice]


def play(worker, battle_format, seed, names=NAMES, teams=(), thinks=True):
    """Play a battle; return both players' chronicles."""
    command = [find_node(), Path(__file__).with_name("table.js"), find_package()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as table:
        seats = {
            player: Seat(
                Chronicle(battle_format, player, agent=f"agent {player}"),
                worker.follow(battle_format, player),
                [seed, n],
                thinks,
            )
            for n, player in enumerate(("p1", "p2"))
        }

        def say(line):
            table.stdin.write(line + "\n")
            table.stdin.flush()
            return json.loads(table.stdout.readline())

        given = {"format": battle_format, "seed": seed, "names": names}
        messages = say(json.dumps({**given, "teams": teams} if teams else given))
        while messages:
            choices = [
                f"{player} {choice}"
                for player, lines in messages
                for choice in seats[player].hear(lines)
            ]
            messages = [message for choice in choices for message in say(choice)]
        table.stdin.close()
    for number, seat in enumerate(seats.values()):
        result = seat.hearing.result
        assert result
        won = result == f"|win|{names[number]}"
        seat.chronicle.ended((1 if won else -1) if result.startswith("|win|") else 0)
        seat.tracker.close()
    return tuple(seat.chronicle for seat in seats.values())


@pytest.fixture(scope="session")
def battle(installed):
    """Chronicles of both players of a battle: battle(format, seed, ...)."""
    with LineWorker() as worker:
        yield functools.cache(functools.partial(play, worker))
