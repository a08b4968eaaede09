"""Our player on a server, and what poke-env's players are made to tell: without a server, but for two formats."""

import asyncio
import json
import threading

import numpy as np
import pytest
from poke_env.player import RandomPlayer
from poke_env.ps_client import PSClient

from poke.envs.showdown import layout
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.client import Client
from poke.envs.showdown.server.places import Account
from poke.envs.showdown.server.players import Playing, PolicyPlayer
from poke.envs.showdown.server.scripted import opponent_player
from poke.envs.showdown.watching import Chronicle

from .test_lines import pokemon

pytestmark = pytest.mark.showdown

ROOM = "battle-gen1randombattle-1"
OPENING = [
    "|init|battle",
    "|player|p1|me||",
    "|player|p2|you||",
    "|gen|1",
    "|tier|[Gen 1] Random Battle",
    "|start",
    "|switch|p1a: Snorlax|Snorlax, L74|400/400",
    "|switch|p2a: Starmie|Starmie, L68|100/100",
    "|turn|1",
]
NEXT = ["|", "|t:|1", "|move|p2a: Starmie|Recover|p2a: Starmie", "|upkeep", "|turn|2"]


def request(number, moves=("bodyslam", "rest"), player="p1", **active):
    asked = [{"move": m, "id": m, "pp": 5, "maxpp": 8, "disabled": False} for m in moves]
    team = [pokemon("Snorlax", ["bodyslam", "rest"], True), pokemon("Gengar", ["hypnosis"])]
    for one in team:
        one["ident"] = one["ident"].replace("p1", player)
    side = {"name": "me", "id": player, "pokemon": team}
    text = json.dumps({"active": [{"moves": asked, **active}], "side": side, "rqid": number})
    return f"|request|{text}"


class Chooser:
    """A policy that takes the first legal action, and remembers what it was shown."""

    def __init__(self):
        self.seen = []
        self.states = 0

    def initial_state(self):
        self.states += 1
        return self.states

    def act(self, observation, *, action_mask, state):
        legal = np.flatnonzero(action_mask).tolist()
        self.seen.append((legal, state))
        assert observation.shape == (layout.SIZE,)
        return np.int64(legal[0])


@pytest.fixture(scope="module")
def worker(installed):
    with LineWorker() as running:
        yield running


@pytest.fixture
def said(monkeypatch):
    """What clients send, instead of sending it; none of them connects."""
    sent = []

    async def listen(client):
        return None

    async def send(client, message, room="", message_2=None):
        sent.append((message, message_2) if message_2 else message)

    for client in (Client, PSClient):
        monkeypatch.setattr(client, "listen", listen)
        monkeypatch.setattr(client, "send_message", send)
    return sent


async def settle():
    """Let everything happen that waits for nothing from outside."""
    for _ in range(50):
        await asyncio.sleep(0)


def player_of(policy, worker, **how):
    playing = Playing(policy, "gen1randombattle", **how)
    return PolicyPlayer(Account("me"), "ws://nowhere", playing, worker)


@pytest.fixture
def hear(worker, said):
    """Let a player hear messages of a room; return the battle."""

    def run(policy, *messages, room=ROOM, **how):
        async def play():
            player = player_of(policy, worker, **how)
            for lines in messages:
                player._hear_room(room, lines)
                await settle()
            seat = None if player.begun.empty() else player.begun.get_nowait()
            await player.leave()
            return seat

        return asyncio.run(play())

    return run


def test_a_choice_goes_by_slot_and_names_its_request(hear, said):
    policy = Chooser()
    player = hear(policy, OPENING, [request(3)], NEXT, [request(5, trapped=True)])
    assert said == [("/choose switch 2", "3"), ("/choose move 1", "5")]
    assert [legal for legal, _ in policy.seen] == [[1, 6, 7], [6, 7]]
    assert (player.num_decisions, player.num_refused) == (2, 0)
    assert player.seconds > 0


def test_a_choice_without_alternative_asks_nobody(hear, said):
    policy = Chooser()
    player = hear(policy, OPENING, [request(3, ["recharge"], trapped=True)])
    assert said == [("/choose move 1", "3")]
    assert (policy.seen, player.num_decisions) == ([], 0)


def test_a_server_that_sends_requests_first_is_waited_for(hear, said):
    policy = Chooser()
    early = [OPENING[:1], [request(3)], OPENING[1:3]]
    hear(policy, *early)
    assert said == []
    hear(policy, *early, OPENING[3:], [request(5)], ["|c|you|hello"])
    assert said == [("/choose switch 2", "3")]
    said.clear()
    hear(policy, *early, OPENING[3:], [request(5)], NEXT)
    assert [number for _, number in said] == ["3", "5"]


def test_the_second_seat_is_known_by_the_name(hear, said):
    theirs = [
        line.replace("|p1|me|", "|p1|you|").replace("|p2|you|", "|p2|me|") for line in OPENING
    ]
    swapped = [
        line.replace("p1a: Snorlax", "p2a: Snorlax").replace("p2a: Starmie", "p1a: Starmie")
        for line in theirs
    ]
    policy = Chooser()
    player = hear(policy, swapped, [request(3, player="p2")], ["|win|me"])
    assert said[0] == ("/choose switch 2", "3")
    assert player.outcome == 1


def test_a_trap_that_shows_when_it_is_tried(hear, said):
    policy = Chooser()
    refusal = ["|error|[Unavailable choice] Can't switch: The active Pokémon is trapped"]
    player = hear(policy, OPENING, [request(3, maybeTrapped=True)], refusal)
    assert len(said) == 1, "another request comes"
    player = hear(
        policy, OPENING, [request(3, maybeTrapped=True)], refusal, [request(4, trapped=True)]
    )
    assert said[1:] == [("/choose switch 2", "3"), ("/choose move 1", "4")]
    assert (player.num_decisions, player.num_refused) == (1, 1)


def test_a_refused_choice_is_never_made_again(hear, said):
    policy = Chooser()
    refusal = ["|error|[Invalid choice] Can't do this: nobody says why"]
    player = hear(policy, OPENING, [request(3)], refusal, refusal, ["|win|you"])
    assert [choice for choice, _ in said[:3]] == [
        "/choose switch 2",
        "/choose move 1",
        "/choose move 2",
    ]
    assert [legal for legal, _ in policy.seen] == [[1, 6, 7], [6, 7]]
    assert (player.num_refused, player.fault, player.outcome) == (2, None, -1)


def test_a_battle_in_which_every_choice_is_refused_is_given_up(hear, said):
    refusal = ["|error|[Invalid choice] Can't do this: nobody says why"]
    player = hear(Chooser(), OPENING, [request(3)], *([refusal] * 9), ["|win|you"])
    assert len([one for one in said if one[0].startswith("/choose")]) == 3
    assert said.count("/forfeit") == 1
    assert "refuses the only choice" in str(player.fault)


def test_a_policy_that_raises_gives_the_battle_up(hear, said):
    class Broken(Chooser):
        def act(self, observation, *, action_mask, state):
            raise RuntimeError("no idea")

    player = hear(Broken(), OPENING, [request(3)], NEXT, [request(5)], ["|win|you"])
    assert said == ["/forfeit", f"/leave {ROOM}"]
    assert str(player.fault) == "no idea"
    assert player.outcome == -1


@pytest.mark.parametrize(("line", "outcome"), [("|win|me", 1), ("|win|you", -1), ("|tie", 0)])
def test_the_end_is_understood(hear, said, line, outcome):
    player = hear(Chooser(), OPENING, [request(3)], NEXT, [line], ["|deinit"])
    assert (player.outcome, player.turns) == (outcome, 2)
    assert said[-1] == f"/leave {ROOM}"


def test_a_memory_lasts_a_battle(hear):
    policy = Chooser()
    hear(policy, OPENING, [request(3)], NEXT, [request(5)], ["|win|me"])
    hear(policy, OPENING, [request(3)])
    assert [state for _, state in policy.seen] == [1, 1, 2]


def test_messages_of_other_rooms_and_of_left_ones_are_not_heeded(hear, said):
    policy = Chooser()
    hear(policy, ["|deinit"], [request(3)])
    hear(policy, OPENING, room="battle-gen9randombattle-1")
    hear(policy, OPENING, ["|win|me"], [request(9)], NEXT)
    assert policy.seen == []
    assert said == [f"/leave {ROOM}"]


def test_a_dead_worker_is_no_lost_battle(said, installed):
    async def play():
        with LineWorker() as worker:
            player = player_of(Chooser(), worker)
            player._hear_room(ROOM, OPENING)
            await settle()
            worker._process.kill()
            player._hear_room(ROOM, [request(3)])
            await settle()
            await player.leave()
            return player.begun.get_nowait()

    assert isinstance(asyncio.run(play()).fault, ShowdownError)


AFTER = [*OPENING, *NEXT]  # the log that a server sends to who comes again


@pytest.mark.parametrize(
    "first", [[OPENING, [request(3)], NEXT], [OPENING[:1], [request(3)], OPENING[1:]]]
)
def test_who_comes_again_knows_the_battle_from_its_log_and_decides_what_is_asked(hear, said, first):
    policy = Chooser()
    hear(policy, *first, AFTER, [request(5)], NEXT[:-1], [request(7)], ["|turn|3"])
    # Once where the first connection told nothing of it any more.
    assert [number for _, number in said] == ["3", "5", "7"]
    assert [state for _, state in policy.seen] == [1, 1, 1], (
        "what it remembers is of the same battle"
    )


def test_who_comes_again_to_a_server_that_sends_requests_first_waits_for_their_lines(hear, said):
    begin = [OPENING[:1], [request(3)], OPENING[1:], AFTER, [request(5)]]
    hear(Chooser(), *begin, [request(7)])
    assert [number for _, number in said] == ["3", "5"]
    said.clear()
    hear(Chooser(), *begin, [request(7)], NEXT)
    assert [number for _, number in said] == ["3", "5", "7"]


def test_who_comes_again_does_not_choose_what_it_has_chosen(hear, said):
    policy = Chooser()
    sent = [request(5), "|sentchoice|move 1"]
    hear(policy, OPENING, [request(3)], NEXT, AFTER, sent, ["|c|you|hello"])
    assert [number for _, number in said] == ["3"]


def test_a_battle_that_the_server_no_longer_has_is_lost_sight_of(hear, said):
    seat = hear(Chooser(), OPENING, [request(3)], ["|noinit|nonexistent|The room does not exist."])
    assert (seat.outcome, seat.is_gone) == (None, True)


def test_choices_that_come_too_late_are_not_refused_ones(hear, said):
    late = "|error|[Invalid choice] Sorry, too late to make a different move; the next turn has already started"
    seat = hear(Chooser(), OPENING, [request(3)], [late], NEXT, [request(5)])
    assert [choice for choice, _ in said] == ["/choose switch 2", "/choose switch 2"]
    assert seat.num_refused == 0


def test_a_decision_that_takes_too_long_is_made_by_the_heuristics(hear, said):
    class Slow(Chooser):
        def act(self, observation, *, action_mask, state):
            super().act(observation, action_mask=action_mask, state=state)
            assert over.wait(60)
            return np.int64(1)

    over = threading.Event()

    async def play(worker):
        player = player_of(Slow(), worker, seconds=1e-3)
        player._hear_room(ROOM, OPENING)
        player._hear_room(ROOM, [request(3)])
        while not said:
            await asyncio.sleep(1e-3)
        over.set()
        seat = player.begun.get_nowait()
        await player.leave()
        return seat

    with LineWorker() as worker:
        seat = asyncio.run(play(worker))
    assert said == [("/choose move 1", "3")], "Body Slam; the policy would have switched"
    assert (seat.num_late, seat.num_decisions, seat.fault) == (1, 1, None)


def test_everything_is_told_once_to_who_watches(hear):
    told = []

    class Watching(Chooser):
        def act(self, observation, *, action_mask, state, return_info):
            action = super().act(observation, action_mask=action_mask, state=state)
            return action, {
                "value": np.float32(0.5),
                "probabilities": action_mask / action_mask.sum(),
            }

    def watcher(battle_format, player):
        told.append(Chronicle(battle_format, player))
        return told[-1]

    hear(
        Watching(), OPENING, [request(3)], NEXT, AFTER, [request(5)], NEXT, ["|win|me"],
        watcher=watcher,
    )  # fmt: skip
    (chronicle,) = told
    assert [moment.choice for moment in chronicle.moments] == ["switch 2", "switch 2"]
    assert chronicle.moments[0].thoughts.value == 0.5
    assert chronicle.lines.count("|turn|2") == 2, (
        "of the second update and the third, not of the log"
    )
    assert chronicle.lines.count("|start") == 1
    assert chronicle.outcome == 1


def test_an_opponent_that_breaks_says_so_and_gives_up(said):
    async def play():
        player = opponent_player("random", "foe", "gen1randombattle", "ws://nowhere")
        assert isinstance(player, RandomPlayer)
        broken = "|switch|p1a: Nobody|Nobodyatall, L74|400/400"
        for lines in (OPENING[:3], [broken], [broken, "|win|me"], ["|deinit"]):
            parts = [line.split("|") for line in lines]
            await player._handle_battle_message([[f">{ROOM}"], *parts])
        return player

    player = asyncio.run(play())
    assert isinstance(player.fault, Exception)
    assert said == ["/forfeit", f"/leave {ROOM}"]
    assert player.battles[ROOM].finished


def test_an_opponent_whose_connection_is_lost_says_why():
    async def listen():
        foe = opponent_player("random", "foe0", "gen1randombattle", "ws://127.0.0.1:9/nobody")
        await foe.listening

    for _ in range(2):  # the second one has the first one's name
        with pytest.raises(
            ShowdownError, match=r"^the connection to .*:9/nobody is lost: .*Connect call failed"
        ):
            asyncio.run(listen())
