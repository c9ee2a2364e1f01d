"""A bundle's rules in a real Prometheus, which scrapes a server and wakes a real Alertmanager when it is taken away."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.test_serving import DOUBLE
from tests.deployment.watch import MISSING, until, watched

pytestmark = pytest.mark.slow


@pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")
def test_a_server_that_is_taken_away_wakes_somebody(bundle: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, DOUBLE, bundle], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        rest, _ = served.stdout.readline().split()
        try:
            with watched(bundle, tmp_path, written="serving:8501", port=int(rest)) as watch:
                until(watch.is_up, "a scrape")
                assert len(watch.asked(":tensorflow:serving:request_count")) == 2
                assert not watch.asked("ALERTS") and not watch.alerts
                served.kill()
                until(lambda: "ModelAway" in watch.alerts, "an alert")
                assert set(watch.alerts) == {"ModelAway"}
        finally:
            served.kill()
