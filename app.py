"""Train from config.json: the same as main.py and ``actor-critic train``."""

from actor_critic.cli import main

if __name__ == "__main__":
    main("train")
