"""Package an accepted run for NVIDIA Triton: model repository, front, watch and clients, as files.

`python export/package_triton.py RUN` does the same as `tfkit package triton RUN`.
"""

from pathlib import Path
from typing import Annotated

import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BuiltImage, BundleFolder, ModelName, ModelVersion, show_bundle
from tfkit.terminal import Display, chatter_dropped

NOT_CHECKED = (
    "the image was not built, and this bundle was not started: run ./smoke_test.sh where Docker is. tfkit's own tests "
    "start such a repository in Triton 2.51 with Python 3.11; the image holds a newer Triton and Python 3.12",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size and the number of instances",
)


def command(
    run: AcceptedRun,
    output: BundleFolder = None,
    name: ModelName = None,
    model_version: ModelVersion = 1,
    file: Annotated[
        str | None, typer.Option(help="Which .tflite or .onnx file; .tflite and int8 first.", metavar="FILE")
    ] = None,
    instances: Annotated[int, typer.Option(help="Requests computed at the same time, each on one core.")] = 2,
    warm_up: Annotated[bool, typer.Option(help="Run golden samples before the server says it is ready.")] = True,
    image: BuiltImage = None,
    triton_image: Annotated[str | None, typer.Option(help="Triton's image, with its tag.")] = None,
) -> int:
    """For NVIDIA Triton: model repository, image, front, Kubernetes, alerts, dashboard, clients."""
    display = Display()
    with chatter_dropped():
        options = deployment.TritonOptions(
            name=name or deployment.model_name(run),
            version=model_version,
            image=image,
            triton_image=triton_image or deployment.TRITON_IMAGE,
            file=file,
            instances=instances,
            warm_up=warm_up,
        )
        folder = output or Path(f"{options.name}-triton")
        bundle = package(run, folder, options, display)
    return show_bundle(display, folder, bundle, guide="TRITON.md", start=f"{folder}/smoke_test.sh")


def package(run: Path, destination: Path, options: deployment.TritonOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.triton_model(directory, options)
        proved = deployment.proved_answers(directory, served)
        sent = deployment.golden_requests(directory)
        stage.result(f"{served.path.name} as version {options.version} of {options.name}")
    with deployment.new_bundle(destination) as folder:
        with display.stage("Answer the golden samples") as stage:
            version = deployment.write_version(folder, served, options)
            requests = deployment.answered_by_bundle(version, sent)
            deployment.refuse_other_answers(requests, served, proved)
            stage.result(f"{len(requests)} as in the proof")
        checked = (
            f"the bundle's own code, in a Python without TensorFlow, answers {len(requests)} golden samples with "
            f"{served.path.name} as in the run's proof",
        )
        with display.stage("Write the bundle") as stage:
            deployment.write_requests(folder, deployment.sent_name(served), requests)
            warm_up = deployment.warm_up_samples(version.parent, directory, served, sent)
            described = deployment.repository_values(served, options, warm_up)
            deployment.render_templates(deployment.MODEL_TEMPLATES, version.parent, described)
            largest = max(map(len, sent))
            values = deployment.triton_values(directory, served, options, proved=proved, request_bytes=largest)
            values |= {"checked": checked, "not_checked": NOT_CHECKED}
            files = deployment.render_templates(deployment.TRITON_TEMPLATES, folder, values)
            stage.result(f"{len(files)} files beside the model")
        return deployment.seal_run(
            folder,
            "triton",
            options.name,
            directory,
            served,
            checked=checked,
            not_checked=NOT_CHECKED,
            version=options.version,
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
