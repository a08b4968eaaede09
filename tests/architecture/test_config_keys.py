"""A frozen list of what users can set, so that no key appears or vanishes unnoticed."""

from pathlib import Path

from poke.config import composing
from poke.config.knobs import leaf_keys

FROZEN = Path(__file__).with_name("config_keys.txt")


def config_keys() -> str:
    lines = []
    folder = composing.config_dir()
    plain = composing.to_plain(composing.compose("train", []))
    lines += [f"train: {key}" for key in leaf_keys(plain)]
    for group in sorted(p for p in folder.iterdir() if p.is_dir()):
        lines += [f"option: {group.name}={file.stem}" for file in sorted(group.glob("*.yaml"))]
    return "\n".join(sorted(lines)) + "\n"


def test_config_keys_are_the_frozen_ones():
    assert config_keys() == FROZEN.read_text(), (
        "Config keys changed. If that is meant, say so in CHANGELOG.md and run: "
        "python tests/architecture/test_config_keys.py"
    )


if __name__ == "__main__":
    FROZEN.write_text(config_keys())
