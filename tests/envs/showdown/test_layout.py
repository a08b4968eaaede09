import json
import zlib

import numpy as np
import pytest
from poke_env.battle import Field, PokemonType, SideCondition, Status, Weather
from poke_env.data import GenData, to_id_str

from poke.envs.showdown import layout

CHECKSUMS = {
    "species": (1600, 379867338),
    "move": (956, 2687695707),
    "ability": (321, 2773358759),
    "item": (584, 2012112421),
    "type": (20, 3464433193),
}


@pytest.mark.parametrize(("generation", "num_actions"), [(1, 10), (5, 10), (6, 14), (9, 26)])
def test_every_byte_has_exactly_one_meaning(generation, num_actions):
    about = json.loads(json.dumps(layout.describe(generation)))
    owners = np.zeros(about["size"], dtype=int)

    def claim(start, kind):
        for field in kind["dense"]:
            owners[start + field["offset"] : start + field["offset"] + field["size"]] += 1
            assert field["size"] == max(1, len(field["parts"]))
            assert -128 <= field["low"] < field["high"] <= 127
        for field in kind["ids"]:
            owners[start + field["offset"] : start + field["offset"] + field["size_bytes"]] += 1
            assert field["table"] in about["tables"]

    for group in about["groups"]:
        kind = about["kinds"][group["kind"]]
        for slot in range(group["count"]):
            start = group["offset"] + slot * group["size"]
            claim(start, kind)
            if "moves" in kind:
                moves = kind["moves"]
                for move in range(moves["count"]):
                    claim(start + moves["offset"] + move * moves["size"], moves)
    assert (owners == 1).all()
    actions = [a["offset"] + i for a in about["actions"] for i in range(a["count"])]
    assert actions == list(range(num_actions))


def test_the_tables_know_every_name_of_every_generation():
    tables = layout.tables()
    for gen in (1, 9):
        data = GenData.from_gen(gen)
        assert not set(data.pokedex) - set(tables["species"])
        assert not set(data.moves) - set(tables["move"])
        abilities = {to_id_str(a) for p in data.pokedex.values() for a in p["abilities"].values()}
        assert not abilities - set(tables["ability"])
    for names in tables.values():
        assert sorted(names.values()) == list(range(1, len(names) + 1))
    sizes = layout.describe(1)["tables"]
    assert sizes["species"] == max(tables["species"].values()) + 1


def test_ids_do_not_move():
    """A network's embeddings and recorded data hold these numbers: they must never change."""
    checksums = {
        table: (len(ids), zlib.crc32(" ".join(sorted(ids, key=ids.__getitem__)).encode()))
        for table, ids in layout.tables().items()
    }
    assert checksums == CHECKSUMS


def test_names_are_poke_envs():
    for enum, names in (
        (PokemonType, layout.TYPES),
        (Status, layout.STATUSES),
        (Weather, layout.WEATHERS),
        (Field, layout.FIELDS),
        (SideCondition, layout.SIDE_CONDITIONS),
    ):
        assert not set(names) - set(enum.__members__)
