"""What a checkpoint says of itself, in its file and in the index alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from poke.training.checkpointing.files import CheckpointError


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class CheckpointMetadata:
    """What a checkpoint says of itself.

    Args:
        epoch: passes over the dataset.
        step: gradient updates offline, environment transitions online.
        metrics: values by full name (``val/loss``); may be empty, negative, NaN or infinite.
        timestamp: when, in UTC; ISO 8601 text is taken too.
        config: the run's resolved config.
        data: the fingerprint of what was trained on; None where nobody said.

    Raises:
        ValueError: epoch or step is negative.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    timestamp: datetime = field(default_factory=_now)
    config: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.epoch < 0 or self.step < 0:
            raise ValueError(f"epoch and step must be >= 0, not {self.epoch} and {self.step}")
        object.__setattr__(self, "epoch", int(self.epoch))
        object.__setattr__(self, "step", int(self.step))
        metrics = {name: float(value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        if isinstance(self.timestamp, str):
            object.__setattr__(self, "timestamp", datetime.fromisoformat(self.timestamp))

    @property
    def train_loss(self) -> float | None:
        """The metric ``train/loss``."""
        return self.metrics.get("train/loss")

    @property
    def train_accuracy(self) -> float | None:
        """The metric ``train/accuracy``."""
        return self.metrics.get("train/accuracy")

    @property
    def val_loss(self) -> float | None:
        """The metric ``val/loss``."""
        return self.metrics.get("val/loss")

    @property
    def val_accuracy(self) -> float | None:
        """The metric ``val/accuracy``."""
        return self.metrics.get("val/accuracy")

    @property
    def file_name(self) -> str:
        """The name of this checkpoint's file."""
        return f"checkpoint_{self.moment}.pt"

    @property
    def moment(self) -> str:
        """Epoch and step, as names of files have them."""
        return f"epoch{self.epoch}_step{self.step}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "metrics": dict(self.metrics),
            "timestamp": self.timestamp.isoformat(),
            "config": None if self.config is None else dict(self.config),
            "data": None if self.data is None else dict(self.data),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckpointMetadata:
        """Undo ``to_dict``; checkpoints of before ``data`` have none.

        Raises:
            CheckpointError: a field is missing or of another type.
        """
        try:
            values = {"data": None, **values}
            return cls(**{name: values[name] for name in cls.__dataclass_fields__})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"checkpoint metadata is incomplete: {error!r}") from error
