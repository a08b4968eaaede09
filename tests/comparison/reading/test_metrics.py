import pytest

from poke.comparison.reading.metrics import infer_mode


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("val/loss", "min"),
        ("val_loss", "min"),
        ("train/error", "min"),
        ("eval/perplexity", "min"),
        ("val/nll", "min"),
        ("eval/episode_length", "min"),
        ("val/accuracy", "max"),
        ("val/top3_accuracy", "max"),
        ("eval/return_mean", "max"),
        ("rollout/ep_rew_mean", "max"),
        ("eval/win_rate", "max"),
        ("reward_loss", "min"),
        ("train/grad_norm", None),
        ("train/lossless_ratio", None),
    ],
)
def test_the_mode_is_in_the_name(name, mode):
    assert infer_mode(name) == mode
