"""``python -m actor_critic`` is the command ``actor-critic``."""

from actor_critic.cli import main

if __name__ == "__main__":
    main()
