"""A run for people: live while it trains, and afterwards as a page, in findings in words, and compared with others."""

from actor_critic.report.comparison import Comparison, compare, contrast, group_names, interval, is_decided, shown_value
from actor_critic.report.findings import CAUSES, RULES, Finding, diagnose, find
from actor_critic.report.live import LiveView, live_view
from actor_critic.report.records import Group, Records, changed_settings, read_group, read_records
from actor_critic.report.seeds import SEEDS_DISAGREE, find_in_group

__all__ = [
    "CAUSES",
    "RULES",
    "SEEDS_DISAGREE",
    "Comparison",
    "Finding",
    "Group",
    "LiveView",
    "Records",
    "changed_settings",
    "compare",
    "contrast",
    "diagnose",
    "find",
    "find_in_group",
    "group_names",
    "interval",
    "is_decided",
    "live_view",
    "read_group",
    "read_records",
    "shown_value",
]
