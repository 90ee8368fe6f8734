"""Probe problems with exact solutions, and the selftest that trains on them."""

from actor_critic.probing.selftest import Measurement, ProbeResult, probe_results, selftest
from actor_critic.probing.table import PROBES, Moment, Probe

__all__ = ["PROBES", "Measurement", "Moment", "Probe", "ProbeResult", "probe_results", "selftest"]
