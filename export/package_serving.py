"""Package an accepted run for TensorFlow Serving: server, front, watch and client, as files.

`python export/package_serving.py RUN` does the same as `tfkit package serving RUN`.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BuiltImage, BundleFolder, ModelName, ModelVersion, show_bundle
from tfkit.terminal import Display, tensorflow_started

TEMPLATES = ("serving", "servers")
GUIDE = "SERVING.md"  # written last: it says what was checked
NOT_CHECKED = (
    "the image was not built, and no TensorFlow Serving was started: run ./smoke_test.sh where Docker is",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size",
    "clouds/ was not run on SageMaker or Vertex AI",
)


def command(
    run: AcceptedRun,
    output: BundleFolder = None,
    name: ModelName = None,
    model_version: ModelVersion = 1,
    previous: Annotated[
        Path | None, typer.Option(help="A bundle whose newest version stays beside this one.", metavar="BUNDLE")
    ] = None,
    image: BuiltImage = None,
    serving_image: Annotated[str | None, typer.Option(help="TensorFlow Serving's image, with its tag.")] = None,
) -> int:
    """For TensorFlow Serving: image, front, Kubernetes, alerts, dashboard, client, and how to start them."""
    display = Display()
    with tensorflow_started():
        options = deployment.ServingOptions(
            name=name or deployment.model_name(run),
            version=model_version,
            image=image,
            serving_image=serving_image or deployment.SERVING_IMAGE,
            previous=previous,
        )
        folder = output or Path(f"{options.name}-serving")
        bundle = package(run, folder, options, display)
    return show_bundle(display, folder, bundle, guide=GUIDE, start=f"{folder}/smoke_test.sh")


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
            largest = max(len(json.dumps(deployment.rest_document(sent, [one]))) for one in inputs)
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
        return deployment.seal_run(
            folder,
            "serving",
            options.name,
            directory,
            served,
            checked=checked,
            not_checked=NOT_CHECKED,
            version=options.version,
            older=older,
            labels=labels,
            previous=options.previous,
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
