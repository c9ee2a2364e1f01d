"""Package an accepted run for TensorFlow Serving: server, front, watch and client, as files.

`python export/package_serving.py RUN` does the same as `tfkit package serving RUN`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["package", "serving", *sys.argv[1:]]))

import json
from pathlib import Path

import numpy as np

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.deployment.requests import rest_document
from tfkit.running import Display
from tfkit.version import __version__

TEMPLATES = ("serving", "servers")
GUIDE = "SERVING.md"  # written last: it says what was checked
NOT_CHECKED = (
    "the image was not built, and no TensorFlow Serving was started: run ./smoke_test.sh where Docker is",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size",
)


def package(run: Path, destination: Path, options: deployment.ServingOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.served_model(directory)
        older, labels = deployment.model_versions(options)
        sent = served.signature.inputs[0].name
        stage.result(f"version {options.version} of {options.name}")
    with display.stage("Answer the golden samples") as stage:
        inputs = deployment.golden_requests(directory)
        requests = deployment.answering(served.path)(inputs)
        stage.result(f"{len(requests)} requests")
    with deployment.new_bundle(destination) as folder:
        with display.stage("Write the bundle") as stage:
            deployment.write_model(folder, served, options, sent=sent, requests=requests)
            deployment.write_requests(folder, sent, requests)
            largest = max(len(json.dumps(rest_document(sent, [one]))) for one in inputs)
            values = deployment.serving_values(directory, served, options, sent=sent, request_bytes=largest)
            files = deployment.render_templates(TEMPLATES, folder, values, leave_out=(GUIDE,))
            stage.result(f"{len(files) + 1} files beside the model")
        with display.stage("Check the bundle") as stage:
            with np.load(directory.golden / "expected_saved_model.npz") as expected:
                proved = {name: expected[name] for name in expected.files}
            checked = deployment.checked_serving(folder, options, requests=requests, expected=proved)
            values |= {"checked": checked, "not_checked": NOT_CHECKED}
            deployment.render_templates(TEMPLATES, folder, values, only=(GUIDE,))
            stage.result("its answers are those of the proof")
        versions = {str(number): sha256 for number, sha256 in older.items()} | {str(options.version): served.sha256}
        made_by = f"tfkit {__version__}"
        bundle = deployment.Bundle("serving", options.name, versions, labels, checked, NOT_CHECKED, made_by)
        deployment.seal_bundle(folder, bundle)
    return bundle
