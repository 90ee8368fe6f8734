"""A run for people: live while it trains, and afterwards in findings, which say in words what its records mean."""

from actor_critic.report.comparison import Comparison, compare, interval, is_decided
from actor_critic.report.findings import CAUSES, RULES, Finding, diagnose, find
from actor_critic.report.live import LiveView, live_view
from actor_critic.report.records import Group, Records, read_group, read_records
from actor_critic.report.seeds import find_in_group

__all__ = [
    "CAUSES",
    "RULES",
    "Comparison",
    "Finding",
    "Group",
    "LiveView",
    "Records",
    "compare",
    "diagnose",
    "find",
    "find_in_group",
    "interval",
    "is_decided",
    "live_view",
    "read_group",
    "read_records",
]
