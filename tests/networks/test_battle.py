import pytest
import torch

from poke.envs.showdown.layout import describe
from poke.networks.actor_critic import ActorCritic
from poke.networks.battle import BattleNetwork
from poke.networks.encoding.layout import byte_bounds, dense_scale, entities, read_id
from poke.networks.mlp import MLP
from poke.spaces import ActionSpace

LAYOUTS = {num_actions: describe(generation) for generation, num_actions in ((1, 10), (9, 26))}


def observations(layout, batch=5):
    """Random bytes within each dense feature's range, one active Pokemon a side, and no ids."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (batch, layout["size"]), generator=generator, dtype=torch.int8)
    x *= (dense_scale(layout) > 0).to(torch.int8)
    dense = layout["kinds"]["pokemon"]["dense"]
    active = next(f["offset"] for f in dense if f["name"] == "active")
    for group in layout["groups"][1:]:
        entities(x, group)[..., active] = 0
        entities(x, group)[:, 1, active] = 1
    return x


def battle(layout, more=0, **options):
    torch.manual_seed(0)
    return BattleNetwork(
        num_outputs=layout["num_actions"] + more,
        layout=layout,
        entity_size=8,
        move_size=4,
        hidden_size=16,
        **options,
    )


@pytest.mark.parametrize("num_actions", LAYOUTS)
def test_one_logit_an_action(num_actions):
    layout = LAYOUTS[num_actions]
    logits = battle(layout)(observations(layout))
    assert logits.shape == (5, num_actions)
    assert logits.dtype == torch.float32


def test_logits_of_switches_follow_their_pokemon():
    layout = LAYOUTS[10]
    network, x = battle(layout), observations(layout)
    own = layout["groups"][1]
    swapped = x.clone()
    slots = entities(swapped, own)
    slots[:, [0, 1]] = slots[:, [1, 0]]
    logits, after = network(x), network(swapped)
    torch.testing.assert_close(after[:, [1, 0, 2, 3, 4, 5]], logits[:, :6])
    torch.testing.assert_close(after[:, 6:], logits[:, 6:])


def test_logits_of_moves_follow_their_move():
    layout = LAYOUTS[26]
    network, x = battle(layout), observations(layout)
    moves = layout["kinds"]["pokemon"]["moves"]
    swapped = x.clone()
    for group in layout["groups"][1:]:
        slots = entities(swapped, group)[..., moves["offset"] :].unflatten(2, (4, moves["size"]))
        slots[:, :, [0, 1]] = slots[:, :, [1, 0]]
    logits, after = (
        network(x)[:, 6:].unflatten(1, (5, 4)),
        network(swapped)[:, 6:].unflatten(1, (5, 4)),
    )
    torch.testing.assert_close(after[:, :, [1, 0, 2, 3]], logits)


@pytest.mark.parametrize("num_actions", LAYOUTS)
def test_one_output_more_judges_the_state(num_actions):
    layout = LAYOUTS[num_actions]
    network, x = battle(layout, more=1), observations(layout)
    outputs = network(x)
    assert outputs.shape == (5, num_actions + 1)
    outputs[:, -1].sum().backward()
    assert network.value.weight.grad.any()
    assert network.switch_score.weight.grad is None or not network.switch_score.weight.grad.any()


@pytest.mark.parametrize("num_actions", LAYOUTS)
def test_an_encoder_is_one_layer_over_scaled_bytes_and_embedded_ids(num_actions):
    layout = LAYOUTS[num_actions]
    encoder = battle(layout).own_encoder
    team, pooled = entities(observations(layout), layout["groups"][1]), torch.randn(5, 6, 4)
    expected = encoder.dense(team[..., : len(encoder.scale)] * encoder.scale)
    expected = expected + encoder.extra(pooled)
    for field in layout["kinds"]["pokemon"]["ids"]:
        if field["offset"] not in layout["kinds"]["pokemon"]["constant"]:
            table = encoder.tables[f"{field['name']}_table"]
            expected = expected + table(read_id(team, field["offset"]))
    torch.testing.assert_close(encoder(team, pooled), expected.relu())


def test_ids_that_a_generation_lacks_have_no_table():
    first, last = (set(battle(LAYOUTS[n]).own_encoder.tables) for n in LAYOUTS)
    assert first == {"species_table"}
    assert first < last


def test_a_battle_without_an_active_pokemon_is_scored_too():
    layout = LAYOUTS[10]
    network, x = battle(layout), observations(layout)
    pokemon = layout["kinds"]["pokemon"]
    active = next(f["offset"] for f in pokemon["dense"] if f["name"] == "active")
    for group in layout["groups"][1:]:
        entities(x, group)[..., active] = 0
    context, _, moves = network.encode(x)
    assert not moves.any()
    assert network(x).isfinite().all()
    assert context.shape == (5, 16)


def test_a_policy_begins_without_a_preference():
    layout = LAYOUTS[26]
    network = ActorCritic(
        lambda num_outputs: battle(layout, num_outputs - 26),
        ActionSpace.discrete(26),
        critic="shared",
        orthogonal=True,
    )
    logits, value, features = network.forward_with_features(observations(layout))
    assert logits.abs().max() < 0.1 < value.abs().max()
    assert features.shape == (5, network.features_size)
    again = network(observations(layout))
    assert torch.equal(again[0], logits)
    assert torch.equal(again[1], value)


def test_what_is_computed_again_on_the_way_back_is_the_same_and_was_not_kept():
    def run(**options):
        torch.manual_seed(0)
        network = battle(LAYOUTS[10], **options)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            loss = network(observations(LAYOUTS[10], 200)).square().sum()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()]), sum(
            t.nbytes for t in kept
        )

    (grads, kept), (again, kept_less) = run(), run(activation_checkpointing=True)
    assert torch.equal(again, grads)
    assert kept_less < kept / 2


def test_ids_are_little_endian_and_unsigned():
    entity = torch.tensor([[0, 0xC8 - 256, 0x05]], dtype=torch.int8)
    assert read_id(entity, 1).tolist() == [0x05C8]


@pytest.mark.parametrize("num_actions", LAYOUTS)
def test_whatever_is_within_the_bounds_of_bytes_is_scored(num_actions):
    layout = LAYOUTS[num_actions]
    low, high = byte_bounds(layout)
    ends = torch.stack([low, high, torch.where(torch.arange(len(low)) % 2 > 0, low, high)])
    assert battle(layout)(ends).isfinite().all()
    assert (low <= high).all()
    # Bytes of features reach as far as these do; those of ids as far as their tables have rows.
    assert high.max() == 127
    assert low.min() == -127


def test_a_battle_network_refuses_plain_observations():
    with pytest.raises(ValueError, match="network=auto takes any"):
        BattleNetwork(
            num_outputs=2,
            layout=None,
            entity_size=4,
            move_size=4,
            hidden_size=4,
        )


def test_mlp_reads_numbers_as_they_are_and_bytes_by_their_scale():
    plain = MLP(observation_shape=(2, 3), num_outputs=4, hidden_sizes=[], activation="tanh")
    x = torch.randn(7, 2, 3)
    torch.testing.assert_close(plain(x), plain.layers(x.flatten(1)))
    layout = LAYOUTS[10]
    scaled = MLP(
        observation_shape=(layout["size"],), num_outputs=10, layout=layout, hidden_sizes=[8]
    )
    x = observations(layout)
    turn = x.clone()
    turn[:, 0] += 50
    torch.testing.assert_close(
        scaled.layers[0](turn.float() * scaled.scale) - scaled.layers[0](x.float() * scaled.scale),
        scaled.layers[0].weight[:, 0].expand(5, -1),
    )
