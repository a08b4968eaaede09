"""What the options of `algo` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from poke.config.knobs import knob


@dataclass
class BehaviourCloningConfig:
    """`algo=bc`."""

    lr: float = knob(above=0, help="AdamW's peak learning rate")
    weight_decay: float = knob(at_least=0, help="AdamW's")
    label_smoothing: float = knob(at_least=0, below=1, help="spread over the legal actions only")
    max_grad_norm: float = knob(at_least=0, help="global norm; 0: no clipping")
    lr_schedule: str = knob(choices=("constant", "cosine"))
    schedule_steps: int = knob(at_least=1, help="where the cosine reaches 0")
    warmup_steps: int = knob(at_least=0)
    loss: str = knob(choices=("nll", "mse"), default="nll", help="mse: of continuous actions")


@dataclass
class PPOConfig:
    """`algo=ppo`."""

    lr: float = knob(above=0, help="Adam's learning rate at the start")
    lr_schedule: str = knob(choices=("constant", "linear"))
    schedule_steps: int = knob(at_least=1, help="where the linear schedules reach 0")
    gamma: float = knob(at_least=0, at_most=1, help="discount factor a decision")
    gae_lambda: float = knob(
        at_least=0,
        at_most=1,
        help="of generalised advantage estimation: 0 trusts values, 1 returns",
    )
    num_epochs: int = knob(at_least=1, help="passes over each block of experience")
    minibatch_size: int = knob(at_least=2, help="divides env.num_envs * data.num_steps")
    clip_range: float = knob(above=0)
    clip_value_loss: bool = knob(help="values move by clip_range at most, as policies do")
    normalize_advantage: bool = knob()
    entropy_coefficient: float = knob(
        help="weight of the policy's entropy, which keeps it exploring"
    )
    value_coefficient: float = knob(at_least=0, help="weight of the values' loss")
    max_grad_norm: float = knob(at_least=0, help="global norm; 0: no clipping")
    target_kl: float | None = knob(
        above=0, help="ends an update at the minibatch on which the policy has moved further"
    )
    shared_network: bool = knob(help="one network for policy and value")
    fast_path: bool = knob(help="small networks on the CPU in numpy, forwards and backwards")
    clip_range_schedule: str = knob(choices=("constant", "linear"), default="constant")
    opponent_coefficient: float = knob(
        at_least=0, default=0.0, help="weight of a loss that predicts the opponent's action"
    )
    initial_log_std: float = knob(
        default=0.0, help="logarithm of the deviation of continuous actions at the start"
    )


@dataclass
class CriticsConfig:
    """`algo.critics`: what judges actions, of algorithms that learn values."""

    num: int = knob(at_least=1, help="critics, the least of which counts")
    target_rate: float = knob(
        above=0, at_most=1, help="by how much their copy follows at every update"
    )
    extra_gammas: list[float] = knob(
        at_least=0, at_most=1, help="discount factors that are learned besides"
    )
    bins: int = knob(at_least=0, help="of two-hot values; 0: values are numbers")
    low: float = knob(help="least value that bins reach")
    high: float = knob(help="greatest")
    layer_norm: bool = knob(default=False, help="normalise their layers")


@dataclass
class ValueLearningConfig:
    """What all algorithms that learn values have."""

    lr: float = knob(above=0, help="Adam's; where policy_lr is another, of all but the policy")
    lr_schedule: str = knob(choices=("constant", "linear", "cosine"))
    schedule_steps: int = knob(at_least=1, help="gradient steps after which the rates reach 0")
    max_grad_norm: float = knob(at_least=0, help="of each network; 0: no clipping")
    gamma: float = knob(at_least=0, at_most=1, help="discount factor a decision")
    reward_scale: float = knob(
        above=0, help="what rewards are multiplied with before anything is learned of them"
    )


@dataclass
class IQLConfig(ValueLearningConfig):
    """`algo=iql`."""

    policy_lr: float = knob(above=0, help="Adam's, of the policy")
    expectile: float = knob(above=0, below=1)
    temperature: float = knob(at_least=0, help="how much the better is preferred; mind the rewards")
    max_weight: float = knob(above=0, help="where that is cut")
    critics: CriticsConfig = knob()


@dataclass
class DQNConfig(ValueLearningConfig):
    """`algo=dqn`."""

    double: bool = knob(help="what is best next is chosen by one network, judged by the other")
    dueling: bool = knob(help="a value of the state, and advantages of actions")
    target_every: int = knob(at_least=1, help="gradient steps between moves of the target network")
    target_rate: float = knob(above=0, at_most=1, help="by how much it moves; 1: it is taken over")
    epsilon_start: float = knob(at_least=0, at_most=1, help="share of drawn actions at first")
    epsilon_end: float = knob(at_least=0, at_most=1, help="at last")
    epsilon_steps: int = knob(at_least=1, help="transitions between the two")
    atoms: int = knob(
        at_least=0,
        default=0,
        help="returns that values are distributions over; 0: they are numbers",
    )
    low: float = knob(default=-10.0, help="the least of these returns")
    high: float = knob(default=10.0, help="the greatest")
    noisy: bool = knob(default=False, help="explore by noisy weights, not by epsilon")
    fast_path: bool = knob(
        default=True, help="small networks on the CPU in numpy, forwards and backwards"
    )


@dataclass
class CQLConfig(ValueLearningConfig):
    """`algo=cql`."""

    alpha: float = knob(at_least=0, help="weight of being conservative; mind the rewards' scale")
    critics: CriticsConfig = knob()
    policy_lr: float = knob(above=0, default=3e-4, help="of numbers; of choices it is a critic")
    num_samples: int = knob(at_least=1, default=10, help="numbers: draws of each kind")
    temperature: float = knob(above=0, default=1.0, help="numbers: what entropy counts, at first")


@dataclass
class CRRConfig(ValueLearningConfig):
    """`algo=crr`."""

    policy_lr: float = knob(above=0, help="Adam's, of the policy")
    filter: str = knob(choices=("binary", "exponential"))
    temperature: float = knob(above=0, help="of the exponential filter; mind the rewards' scale")
    max_weight: float = knob(above=0, help="where exponential weights are cut")
    num_samples: int = knob(at_least=1, help="of the policy's actions, unless they are one choice")
    critics: CriticsConfig = knob()


@dataclass
class AWRConfig(ValueLearningConfig):
    """`algo=awr`."""

    policy_lr: float = knob(above=0, help="Adam's, of the policy")
    temperature: float = knob(above=0, help="advantages are divided by it; mind the rewards")
    max_weight: float = knob(above=0, help="where their exponentials are cut")
    return_share: float = knob(at_least=0, at_most=1, help="of a target; the rest is bootstrapped")
    bins: int = knob(at_least=0, help="of two-hot values; 0: values are numbers")
    low: float = knob(help="least value that bins reach")
    high: float = knob(help="greatest")


@dataclass
class SACConfig(ValueLearningConfig):
    """`algo=sac`."""

    policy_lr: float = knob(above=0, help="Adam's, of the policy")
    temperature: float = knob(above=0, help="what entropy counts beside rewards, at first")
    learn_temperature: bool = knob(help="move it towards the entropy that is aimed at")
    target_entropy: float | None = knob(
        help="of each number, null: -1; of one choice a share of the greatest, null: 0.5"
    )
    critics: CriticsConfig = knob()


@dataclass
class TD3Config(ValueLearningConfig):
    """`algo=td3`, `algo=td3bc` and `algo=rebrac`."""

    policy_lr: float = knob(above=0, help="Adam's, of the policy")
    exploration_noise: float = knob(at_least=0, help="deviation; actions are between -1 and 1")
    target_noise: float = knob(at_least=0, help="likewise, of the target's actions")
    target_noise_clip: float = knob(at_least=0, help="where that is cut")
    policy_every: int = knob(at_least=1, help="gradient steps between moves of the policy")
    bc_weight: float = knob(at_least=0, help="what distances from recorded actions cost the policy")
    next_bc_weight: float = knob(at_least=0, help="and the value of what comes next")
    normalize_q: bool = knob(help="divide the policy's Q by the mean of its absolute values")
    critics: CriticsConfig = knob()
