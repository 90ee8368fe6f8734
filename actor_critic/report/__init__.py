"""A run for people: live while it trains, and afterwards in findings, which say in words what its records mean."""

from actor_critic.report.findings import CAUSES, RULES, Finding, diagnose, find
from actor_critic.report.live import LiveView, live_view
from actor_critic.report.records import Records, read_records

__all__ = ["CAUSES", "RULES", "Finding", "LiveView", "Records", "diagnose", "find", "live_view", "read_records"]
