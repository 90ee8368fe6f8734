"""What the records of a run say: findings in words."""

from actor_critic.report.findings import CAUSES, RULES, Finding, diagnose, find
from actor_critic.report.records import Records, read_records

__all__ = ["CAUSES", "RULES", "Finding", "Records", "diagnose", "find", "read_records"]
