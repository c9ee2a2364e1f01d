from .host import Host, describe_host
from .latency import LatencyResult, measure_latency, noise

__all__ = [
    "Host",
    "LatencyResult",
    "describe_host",
    "measure_latency",
    "noise",
]
