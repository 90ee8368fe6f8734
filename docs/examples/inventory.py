"""A compiled environment of your own: order three products for a shop whose deliveries take two days."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic import Config, FunctionalEnvironment, Trainer, evaluate

PRODUCTS, DELIVERY, WEEK = 3, 2, 7
BATCHES = 5  # an order is 0 to 4 batches


class Inventory(FunctionalEnvironment):
    """Sell three products for 100 days. Demand is random and higher on weekends; what is not there is not sold.

    Each day: a delivery arrives, customers buy, and an order for each product is sent, which arrives after two days.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (PRODUCTS * (1 + DELIVERY) + WEEK,))
    action_space = gym.spaces.MultiDiscrete([BATCHES] * PRODUCTS)
    state = np.dtype([("stock", int, (PRODUCTS,)), ("coming", int, (DELIVERY, PRODUCTS)), ("day", int), ("lost", int)])
    max_episode_steps = 100
    parameters: Any = {  # noqa: RUF012 - as FunctionalEnvironment wants them
        "demand": [2.0, 4.0, 6.0],
        "weekend": 2.0,
        "batch": 4,
        "capacity": [20, 30, 40],
        "margin": [0.3, 0.2, 0.1],
        "holding_cost": 0.03,
        "lost_cost": 0.2,
        "order_cost": 0.3,
    }

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Begin on a random weekday with stock for a random number of days."""
        state.day = random.integers(0, WEEK)
        for k in range(PRODUCTS):
            state.stock[k] = random.integers(0, parameters.capacity[k] // 2)

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Order, receive, sell; the reward is the profit of the day."""
        profit = 0.0
        state.lost = 0
        for k in range(PRODUCTS):
            state.stock[k] += state.coming[0, k]
            for day in range(DELIVERY - 1):
                state.coming[day, k] = state.coming[day + 1, k]
            state.coming[DELIVERY - 1, k] = action[k] * parameters.batch
            wanted = random.poisson(parameters.demand[k] * (parameters.weekend if state.day >= 5 else 1.0))
            sold = min(wanted, state.stock[k])
            state.stock[k] -= sold
            state.lost += wanted - sold
            profit += parameters.margin[k] * sold - parameters.holding_cost * state.stock[k]
            if action[k] > 0:
                profit -= parameters.order_cost
        state.day = (state.day + 1) % WEEK
        return profit - parameters.lost_cost * state.lost, False

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Show what is there and what is coming, as fractions of the capacity, and the weekday."""
        for k in range(PRODUCTS):
            out[k] = state.stock[k] / parameters.capacity[k]
            for day in range(DELIVERY):
                out[(1 + day) * PRODUCTS + k] = state.coming[day, k] / parameters.capacity[k]
        out[(1 + DELIVERY) * PRODUCTS + state.day] = 1.0

    @staticmethod
    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        """Forbid orders that the shelf could not hold if nothing was sold; an order of nothing is always allowed."""
        for k in range(PRODUCTS):
            room = parameters.capacity[k] - position(state, k)
            for batches in range(1, BATCHES):
                mask[k * BATCHES + batches] = batches * parameters.batch <= room

    @staticmethod
    def render(state: Any, parameters: Any) -> str:  # type: ignore[override]
        """Return one line for each product."""
        lines = [f"day {state.day}, {state.lost} sales lost"]
        for k in range(PRODUCTS):
            shelf = "#" * state.stock[k] + "." * (parameters.capacity[k] - state.stock[k])
            lines += [f"product {k} {shelf} coming {state.coming[:, k]}"]
        return "\n".join(lines)


def position(state: Any, k: int) -> Any:
    """Return how much of a product is there or coming; functions of the module are compiled with it."""
    total = state.stock[k]
    for day in range(DELIVERY):
        total += state.coming[day, k]
    return total


Policy = Callable[[Inventory, npt.NDArray[np.bool_], np.random.Generator], npt.NDArray[np.int64]]


def any_allowed(environment: Inventory, mask: npt.NDArray[np.bool_], random: np.random.Generator) -> Any:
    """Order at random."""
    return np.where(mask, random.random(mask.size), 0.0).reshape(PRODUCTS, BATCHES).argmax(1)


def up_to(levels: list[int], points: list[int]) -> Policy:
    """Return a policy of rules: if a product is at its point or below, order as many batches as its level allows."""

    def order(environment: Inventory, mask: npt.NDArray[np.bool_], random: np.random.Generator) -> Any:
        state, batch = environment.memory, environment.parameters.batch
        positions = np.array([position(state, k) for k in range(PRODUCTS)])
        orders = np.clip((np.array(levels) - positions) // batch, 0, BATCHES - 1)
        return np.where(positions <= points, orders, 0)

    return order


def mean_profit(policy: Policy, episodes: int = 50) -> float:
    """Return the mean profit of 100 days, in plain Python."""
    environment, random, total = Inventory(), np.random.default_rng(0), 0.0
    for episode in range(episodes):
        _, info = environment.reset(seed=episode)
        truncated = False
        while not truncated:
            _, reward, _, truncated, info = environment.step(policy(environment, info["action_mask"], random))
            total += reward
    return total / episodes


def main() -> None:
    """Compare policies of rules, tuned by hand, with one that is trained for 300,000 steps."""
    print("random", mean_profit(any_allowed))
    print("base stock", mean_profit(up_to([14, 24, 31], [14, 24, 31])))
    print("order points", mean_profit(up_to([18, 30, 39], [9, 18, 26])))
    trainer = Trainer(Config(environment="inventory:Inventory", total_timesteps=300_000, learning_rate=0.002, seed=1))
    for report in trainer:
        if report.epoch % 50 == 0:
            print(report.epoch, report.mean_return)
    print("greedy", evaluate(trainer.agent).greedy.mean)


if __name__ == "__main__":
    main()
