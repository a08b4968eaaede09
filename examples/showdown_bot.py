"""A bot for a Pokemon Showdown server: the policy of a run accepts challenges, or challenges somebody.

    pip install 'poke[showdown]' && python -m poke.envs.showdown install
    python -m poke.train hydra.run.dir=outputs/clone
    export POKE_SHOWDOWN_USERNAME=MyBot       # and POKE_SHOWDOWN_PASSWORD, where the name is registered
    python examples/showdown_bot.py outputs/clone ws://localhost:8000/showdown/websocket [SOMEBODY]

It plays one battle, of the generation that the policy was trained in. `python -m poke.play RUN --server URL --accept`
does the same and more; here it is taken apart, for a bot of your own: whatever has `initial_state` and `act` plays.
"""

import asyncio
import sys

import poke
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError
from poke.envs.showdown.server.places import LOGIN, account_from_environment, websocket_url
from poke.envs.showdown.server.players import Playing
from poke.envs.showdown.server.visit import ACCEPT, CHALLENGE, Visit, play
from poke.policies.policy import PolicyError


def plan(run, server, somebody=""):
    """Return who plays what, where and whom."""
    policy = poke.load(run)
    battle_format = f"gen{policy.observation_space.layout['generation']}randombattle"
    return Visit(
        websocket_url(server),
        LOGIN,
        account_from_environment(),
        Playing(policy, battle_format, seconds=10.0),  # then SimpleHeuristics' choice is sent
        how=CHALLENGE if somebody else ACCEPT,
        challenged=somebody,
        battles=1,
        concurrency=1,
        timer=False,
    )


def tell(seat):
    """Print how a battle ended, or that nobody knows."""
    how = {1: "won", 0: "drawn", -1: "lost", None: "lost sight of"}[seat.outcome]
    print(f"{how} against {seat.opponent} in {seat.turns} turns", flush=True)


if __name__ == "__main__":
    try:
        visit = plan(*sys.argv[1:])
        asyncio.run(play(visit, on_result=tell, say=lambda line: print(line, flush=True)))
    except (BattleError, PolicyError, ShowdownError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:  # the battle is forfeited
        sys.exit(130)
