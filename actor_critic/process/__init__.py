"""The process around a run: Ctrl-C, processor cores, commands, and state that environments change."""

from actor_critic.process.commands import begin_with, command_line, resume_command
from actor_critic.process.interrupts import Interrupted, postponed, recognized

__all__ = [
    "Interrupted",
    "begin_with",
    "command_line",
    "postponed",
    "recognized",
    "resume_command",
]
