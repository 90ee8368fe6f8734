"""Running on a Ray cluster: data-parallel runs with Ray Train, and processes of seeds and trials as Ray tasks."""

from actor_critic.launching.cluster import Cluster, connect
from actor_critic.launching.data_parallel import Begun, Event, LogLine, RayRun
from actor_critic.launching.pool import Pool

__all__ = ["Begun", "Cluster", "Event", "LogLine", "Pool", "RayRun", "connect"]
