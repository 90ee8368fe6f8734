"""Train from config.json: another name for main.py, the same as ``actor-critic train``."""

from actor_critic.cli import main

if __name__ == "__main__":
    main("train")
