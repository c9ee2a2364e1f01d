"""Where alarms and metrics of a monitor go over the network: a webhook, and Prometheus' Pushgateway."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from tfkit.errors import ConfigError

_SECONDS = 10.0


def refuse_odd_address(address: str, option: str) -> None:
    """Do nothing for an http or https address.

    Raises:
        ConfigError: For anything else, such as a file.
    """
    if urllib.parse.urlsplit(address).scheme not in ("http", "https") or not urllib.parse.urlsplit(address).hostname:
        raise ConfigError(f"{option} is {address!r}, no http or https address", hint="such as https://example.org/hook")


def post_alarms(address: str, alarms: Sequence[dict[str, Any]], *, run: str) -> str | None:
    """Send alarms to a webhook: a JSON object with `text`, as chat programs show it, `run` and `alarms`.

    No text of the stream is sent. The same alarm has the same `id` each time it is sent.

    Args:
        address: The webhook's.
        alarms: Their documents.
        run: The monitored model's name.

    Returns:
        Why it could not be sent, in words; None when it was taken.
    """
    told = "\n".join(str(alarm["sentence"]) for alarm in alarms)
    document = {"text": f"{run}: {told}", "run": run, "alarms": list(alarms)}
    return _sent(address, json.dumps(document).encode(), "POST", "application/json")


def push_metrics(address: str, text: str, *, run: str) -> str | None:
    """Replace a group of metrics in a Pushgateway.

    Source: https://github.com/prometheus/pushgateway, "API": PUT /metrics/job/JOB/LABEL/VALUE.

    Args:
        address: The gateway's, such as `http://localhost:9091`.
        text: The metrics, in Prometheus' text format.
        run: The monitored model's name, the group's label `instance`.

    Returns:
        As for `post_alarms`.
    """
    place = f"{address.rstrip('/')}/metrics/job/tfkit_monitor/instance/{urllib.parse.quote(run, safe='')}"
    return _sent(place, text.encode(), "PUT", "text/plain; version=0.0.4")


def _sent(address: str, body: bytes, method: str, kind: str) -> str | None:
    request = urllib.request.Request(address, data=body, method=method, headers={"Content-Type": kind})
    shown = urllib.parse.urlsplit(address)
    place = f"{shown.scheme}://{shown.hostname}{f':{shown.port}' if shown.port else ''}"  # its path may hold a secret
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return None
    except urllib.error.HTTPError as fault:
        return f"{place} answered {fault.code} {fault.reason}"
    except (OSError, ValueError) as fault:
        return f"{place} cannot be reached: {getattr(fault, 'reason', None) or fault}"
