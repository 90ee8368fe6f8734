"""What ranks must refuse, one after the other in the same processes: ``torchrun … -m tests.ranks.refusals FOLDER``."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from actor_critic import Config, Trainer
from actor_critic.errors import ActorCriticError
from actor_critic.ranks import is_shared, rank
from tests.toys import Countdown, Steady

SMALL: dict[str, Any] = {"environment": "CartPole-v1", "num_envs": 4, "num_steps": 8, "num_epochs": 2}


def _try(told: dict[str, Any], name: str, settings: dict[str, Any], **passed: Any) -> None:
    """Begin a run that is to be refused, and keep the error."""
    try:
        Trainer(Config(**SMALL | settings), **passed)
    except ActorCriticError as error:
        told[name] = {"text": str(error), "code": error.exit_code, "is_shared": is_shared(error)}


def main(folder: Path) -> None:
    """Try them all, then train."""
    told: dict[str, Any] = {}
    own = rank()
    _try(told, "indivisible", {"num_envs": 5})
    states = {"environment": None, "num_envs": None, "num_steps": None, "input_dim": 2, "output_dim": 2}
    _try(told, "indivisible batch", {**states, "batch_size": 7})
    _try(told, "settings", {"gamma": 0.9 + own / 100})
    _try(told, "code", {"environment": None, "replay": "reset"}, environment=Steady if own else Countdown)
    _try(told, "device", {"device": "cuda" if own else "cpu"})
    if own:
        with mock.patch("actor_critic.training.setup.current_versions", return_value={"torch": "0.1"}):
            _try(told, "version", {})
    else:
        _try(told, "version", {})
    trainer = Trainer(Config(**SMALL))
    told["epochs"] = len(list(trainer))
    (folder / f"told_{own}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
