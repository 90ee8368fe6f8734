"""The process around a run: Ctrl-C, processor cores, commands, and state that environments change."""

from actor_critic.process.commands import begin_with, command_line, resume_command
from actor_critic.process.ending import end_at_once
from actor_critic.process.interrupts import Interrupted, postponed, recognized
from actor_critic.process.sending import Sent
from actor_critic.process.signals import ALL_ENDING_SIGNALS, ending_signals, here_alone

__all__ = [
    "ALL_ENDING_SIGNALS",
    "Interrupted",
    "Sent",
    "begin_with",
    "command_line",
    "end_at_once",
    "ending_signals",
    "here_alone",
    "postponed",
    "recognized",
    "resume_command",
]
