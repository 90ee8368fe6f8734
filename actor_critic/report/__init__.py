"""A run for people: live while it trains, and afterwards as a page, in findings in words, and compared with others."""

import importlib
from typing import TYPE_CHECKING, Any

from actor_critic.report.comparison import Comparison, compare, contrast, group_names, interval, is_decided, shown_value
from actor_critic.report.findings import CAUSES, RULES, Finding, diagnose, find
from actor_critic.report.live import LiveView, live_view
from actor_critic.report.records import Group, Records, changed_settings, read_group, read_records
from actor_critic.report.seeds import SEEDS_DISAGREE, find_in_group

if TYPE_CHECKING:
    from actor_critic.report.charts import Chart
    from actor_critic.report.page import PAGE, Episode, render_page, write_html, write_page, write_run_page
    from actor_critic.report.policy_picture import policy_pictures
    from actor_critic.report.sections import Section, Table

# What draws pages is imported at first use, because it takes long.
_OF_PAGES = {
    "PAGE": "page",
    "Chart": "charts",
    "Episode": "page",
    "Section": "sections",
    "Table": "sections",
    "policy_pictures": "policy_picture",
    "render_page": "page",
    "write_html": "page",
    "write_page": "page",
    "write_run_page": "page",
}

__all__ = [
    "CAUSES",
    "PAGE",
    "RULES",
    "SEEDS_DISAGREE",
    "Chart",
    "Comparison",
    "Episode",
    "Finding",
    "Group",
    "LiveView",
    "Records",
    "Section",
    "Table",
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
    "policy_pictures",
    "read_group",
    "read_records",
    "render_page",
    "shown_value",
    "write_html",
    "write_page",
    "write_run_page",
]


def __getattr__(name: str) -> Any:
    if name not in _OF_PAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_OF_PAGES[name]}"), name)
