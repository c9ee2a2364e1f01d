"""Package an accepted run for CPU servers: an existing engine with its settings, front, watch and clients, as files.

`python export/package_server_cpu.py RUN` does the same as `tfkit package server-cpu RUN`.
"""

from pathlib import Path
from typing import Annotated

import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BuiltImage, BundleFolder, ModelName, ModelVersion, show_bundle
from tfkit.terminal import Display, chatter_dropped

NOT_CHECKED = (
    "the image was not built, and no server was started: run ./smoke_test.sh where Docker is. No engine's server could "
    "be had where tfkit is built; its library alone was asked",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size and the number of cores",
)


def command(
    run: AcceptedRun,
    output: BundleFolder = None,
    name: ModelName = None,
    model_version: ModelVersion = 1,
    engine: Annotated[
        str | None,
        typer.Option(help="triton (onnxruntime), for .onnx files, or openvino; by the file when left out."),
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Which .onnx or .tflite file; .onnx and int8 first.", metavar="FILE")
    ] = None,
    cores: Annotated[int, typer.Option(help="For how many cores the engine is set.")] = 2,
    image: BuiltImage = None,
    engine_image: Annotated[str | None, typer.Option(help="The engine's image, with its tag.")] = None,
) -> int:
    """For CPU servers: the .onnx file in Triton's onnxruntime or OpenVINO Model Server, with clients that decode."""
    display = Display()
    with chatter_dropped():
        options = deployment.ServerCpuOptions(
            name=name or deployment.model_name(run),
            version=model_version,
            engine=engine,  # type: ignore[arg-type]  # it is checked there
            image=image,
            engine_image=engine_image,
            file=file,
            cores=cores,
        )
        folder = output or Path(f"{options.name}-server-cpu")
        bundle = package(run, folder, options, display)
    return show_bundle(display, folder, bundle, guide="SERVER_CPU.md", start=f"{folder}/smoke_test.sh")


def package(run: Path, destination: Path, options: deployment.ServerCpuOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served, engine = deployment.cpu_model(directory, options)
        proved, sent = deployment.proved_answers(directory, served), deployment.golden_requests(directory)
        stage.result(f"{served.path.name} for {engine}")
    with deployment.new_bundle(destination) as folder:
        with display.stage("Answer the golden samples") as stage:
            checked, unknown = deployment.checked_engine(directory, served, engine, proved)
            stage.result(checked[0] if checked else unknown[0])
        not_checked = (*unknown, *NOT_CHECKED)
        with display.stage("Write the bundle") as stage:
            model = deployment.write_cpu_model(folder, served, options)
            requests = deployment.golden_answers(served, sent, proved)
            deployment.write_requests(folder, deployment.sent_name(served), requests)
            largest = deployment.decoded_bytes(served)
            values = deployment.cpu_values(directory, served, engine, options, proved=proved, request_bytes=largest)
            values |= {"checked": checked, "not_checked": not_checked}
            if engine == "triton":
                values |= {"warm_up": deployment.cpu_warm_up(model, directory, served)}
                deployment.render_templates(deployment.MODEL_TEMPLATES, model, values)
                deployment.write_labels(model, served)
            files = deployment.render_templates(
                deployment.SERVER_CPU_TEMPLATES[engine], folder, values, leave_out=("TRITON.md",)
            )
            stage.result(f"{len(files)} files beside the model")
        return deployment.seal_run(
            folder,
            "server-cpu",
            options.name,
            directory,
            served,
            checked=checked,
            not_checked=not_checked,
            version=options.version,
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
