"""How fast an exported model runs, and on what machine that was measured."""

from tfkit.benchmarking.host import Host, describe_host
from tfkit.benchmarking.latency import LatencyResult, measure_latency

__all__ = ["Host", "LatencyResult", "describe_host", "measure_latency"]
