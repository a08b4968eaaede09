import json

import pytest

from poke.comparison.reading.configs import flatten, read_config


def test_nested_settings_get_dotted_names_and_lists_become_text():
    flat = flatten(
        {"algo": {"lr": 1e-3, "betas": [0.9, 0.999]}, "seed": 0, "env": None, "extra": {}}
    )

    assert flat == {
        "algo.lr": 1e-3,
        "algo.betas": "[0.9, 0.999]",
        "seed": 0,
        "env": None,
        "extra": "{}",
    }


def test_yaml_of_other_programs(tmp_path):
    path = tmp_path / "hparams.yaml"
    path.write_text(
        "lr: 1e-3\nbig: 1E5\nname: 1e\nflag: true\n"
        "act: !!python/name:torch.nn.ReLU ''\nargs: !!python/tuple [1, 2]\n"
    )

    config = read_config(str(path))

    assert config["lr"] == 1e-3
    assert config["big"] == 1e5
    assert config["name"] == "1e"
    assert config["flag"] is True
    assert config["args"] == "[1, 2]"


def test_yaml_runs_no_code(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")

    read_config(str(path))

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("config.json", "{"), ("config.json", "[1]"), ("config.yaml", "a: [1"), ("config.yaml", "")],
)
def test_what_is_no_config_is_refused(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(ValueError, match=r"is not|Expecting"):
        read_config(str(path))


def test_json_and_yaml_of_one_config_are_read_alike(tmp_path):
    config = {"algo": {"lr": 1e-3, "n": 3, "name": "bc"}, "none": None, "yes": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "config.yaml").write_text(
        "algo:\n  lr: 0.001\n  n: 3\n  name: bc\nnone: null\n'yes': true\n"
    )

    assert read_config(str(tmp_path / "config.json")) == read_config(str(tmp_path / "config.yaml"))


TAGGED = [
    "!!python/name:torch.nn.ReLU",
    "!!python/name:torch.nn.Tanh ''",
    "!!python/module:os",
    "!!python/object/apply:os.system ['touch executed']",
    "!!python/object/apply:torch.device [cuda]",
    "!!python/object/apply:torch.dtype [cuda]",
    "!!python/object/new:torch.Size [[1, 2]]",
    "!!python/object:my.Net {width: 1}",
    "!!python/object:my.Other {width: 1}",
    "!Net {width: 1}",
    "!Net 1",
    "!Other 1",
    "!!python/tuple [1, 2]",
    "!!python/int 3",
    "!!python/none ''",
    "!!python/bool true",
]


def test_objects_of_other_programs_are_told_apart_and_never_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = []
    for text in TAGGED:
        (tmp_path / "config.yaml").write_text(f"x: {text}\n")
        config = read_config(str(tmp_path / "config.yaml"))
        values.append(tuple(sorted(config.items())))

    assert len(set(values)) == len(TAGGED)
    assert values[0] == (("x", "torch.nn.ReLU"),)
    assert values[7] == (("x._target_", "my.Net"), ("x.width", 1))
    assert values[-4:] == [(("x", "[1, 2]"),), (("x", 3),), (("x", None),), (("x", True),)]
    assert not (tmp_path / "executed").exists()
