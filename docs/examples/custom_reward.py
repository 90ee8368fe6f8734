"""Your own reward function on random states: each of three actions picks a number; picking the largest is best."""

from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic import Config, RewardModel, Trainer, evaluate


class LargestOfThree(RewardModel):
    """Reward 1 for picking the largest of the three numbers in the state, else 0."""

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return 1 where the action is the index of the largest number, else 0."""
        return (states.argmax(1) == actions).astype(np.float32)

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the expected reward of every action. With this method, evaluations show the optimum."""
        return (states == states.max(1, keepdims=True)).astype(np.float32)


def main() -> None:
    """Train for 300 epochs and print how close the greedy policy is to the optimum."""
    config = Config(
        input_dim=3,
        output_dim=3,
        reward_model="custom_reward:LargestOfThree",
        learning_rate=0.001,
        batch_size=64,
        num_epochs=300,
    )
    trainer = Trainer(config)
    for report in trainer:
        if report.epoch % 100 == 0:
            print(report.epoch, report.mean_return)
    evaluation = evaluate(trainer.agent)
    assert evaluation.reference is not None
    print("greedy", evaluation.greedy.mean, "of", evaluation.reference.optimum)


if __name__ == "__main__":
    main()
