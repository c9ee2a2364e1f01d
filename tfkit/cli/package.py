"""`tfkit package`: an accepted run as a bundle that starts elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Turn an accepted run into a bundle that others can start.")
AcceptedRun = Annotated[Path, typer.Argument(help="The folder of an accepted run, such as runs/digits.", metavar="RUN")]


@app.command()
def serving(
    run: AcceptedRun,
    output: Annotated[
        Path | None, typer.Option(help="The bundle's folder; NAME-serving when left out.", metavar="DIR")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name on the server; the run's when left out.")] = None,
    model_version: Annotated[int, typer.Option(help="The number of this version.")] = 1,
    previous: Annotated[
        Path | None, typer.Option(help="A bundle whose newest version stays beside this one.", metavar="BUNDLE")
    ] = None,
    image: Annotated[str | None, typer.Option(help="What the built image is to be called.")] = None,
    serving_image: Annotated[str | None, typer.Option(help="TensorFlow Serving's image, with its tag.")] = None,
) -> int:
    """For TensorFlow Serving: image, front, Kubernetes, alerts, dashboard, client, and how to start them."""
    from tfkit.terminal import Display, tensorflow_started

    with tensorflow_started():
        from tfkit._export import package_serving
        from tfkit.deployment import ServingOptions, model_name
        from tfkit.deployment.serving import SERVING_IMAGE

        options = ServingOptions(
            name=name or model_name(run),
            version=model_version,
            image=image,
            serving_image=serving_image or SERVING_IMAGE,
            previous=previous,
        )
        folder, display = output or Path(f"{options.name}-serving"), Display()
        bundle = package_serving.package(run, folder, options, display)
    display.notes(f"not checked: {sentence}" for sentence in bundle.not_checked)
    display.next_steps(folder / "SERVING.md", f"{folder}/smoke_test.sh", f"tfkit verify {folder}")
    return 0


@app.command()
def web(
    run: AcceptedRun,
    output: Annotated[
        Path | None, typer.Option(help="The bundle's folder; NAME-web when left out.", metavar="DIR")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; the run's when left out.")] = None,
    file: Annotated[
        str | None, typer.Option(help="Which .tflite file of the run; int8 first when left out.", metavar="FILE")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What stands above the page; the name when left out.")] = None,
) -> int:
    """For browsers: a page that answers about pictures, from a file or the camera, on the visitor's own device."""
    from tfkit.terminal import Display, chatter_dropped

    with chatter_dropped():
        from tfkit._export import package_web
        from tfkit.deployment import WebOptions, model_name

        options = WebOptions(name or model_name(run), file, title)
        folder, display = output or Path(f"{options.name}-web"), Display()
        bundle = package_web.package(run, folder, options, display)
    display.notes(f"not checked: {sentence}" for sentence in bundle.not_checked)
    commands = f"cd {folder} && npm install --ignore-scripts && python3 -m http.server 8000"
    display.next_steps(folder / "WEB.md", commands, f"tfkit verify {folder}")
    return 0


@app.command()
def triton(
    run: Annotated[Path, typer.Argument(help="The folder of an accepted run, such as runs/digits.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option(help="The bundle's folder; NAME-triton when left out.", metavar="DIR")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name on the server; the run's when left out.")] = None,
    model_version: Annotated[int, typer.Option(help="The number of this version.")] = 1,
    file: Annotated[
        str | None, typer.Option(help="Which .tflite or .onnx file; .tflite and int8 first.", metavar="FILE")
    ] = None,
    instances: Annotated[int, typer.Option(help="Requests computed at the same time, each on one core.")] = 2,
    warm_up: Annotated[bool, typer.Option(help="Run golden samples before the server says it is ready.")] = True,
    image: Annotated[str | None, typer.Option(help="What the built image is to be called.")] = None,
    triton_image: Annotated[str | None, typer.Option(help="Triton's image, with its tag.")] = None,
) -> int:
    """For NVIDIA Triton: model repository, image, front, Kubernetes, alerts, dashboard, clients."""
    from tfkit.terminal import Display, chatter_dropped

    with chatter_dropped():
        from tfkit._export import package_triton
        from tfkit.deployment import TritonOptions, model_name
        from tfkit.deployment.triton import TRITON_IMAGE

        options = TritonOptions(
            name=name or model_name(run),
            version=model_version,
            image=image,
            triton_image=triton_image or TRITON_IMAGE,
            file=file,
            instances=instances,
            warm_up=warm_up,
        )
        folder, display = output or Path(f"{options.name}-triton"), Display()
        bundle = package_triton.package(run, folder, options, display)
    for sentence in bundle.not_checked:
        display.note(f"not checked: {sentence}")
    display.next_steps(folder / "TRITON.md", f"{folder}/smoke_test.sh", f"tfkit verify {folder}")
    return 0


@app.command(name="server-cpu")
def server_cpu(
    run: Annotated[Path, typer.Argument(help="The folder of an accepted run, such as runs/digits.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option(help="The bundle's folder; NAME-server-cpu when left out.", metavar="DIR")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name on the server; the run's when left out.")] = None,
    model_version: Annotated[int, typer.Option(help="The number of this version.")] = 1,
    engine: Annotated[
        str | None,
        typer.Option(help="triton (onnxruntime), for .onnx files, or openvino; by the file when left out."),
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Which .onnx or .tflite file; .onnx and int8 first.", metavar="FILE")
    ] = None,
    cores: Annotated[int, typer.Option(help="For how many cores the engine is set.")] = 2,
    image: Annotated[str | None, typer.Option(help="What the built image is to be called.")] = None,
    engine_image: Annotated[str | None, typer.Option(help="The engine's image, with its tag.")] = None,
) -> int:
    """For CPU servers: the .onnx file in Triton's onnxruntime or OpenVINO Model Server, with clients that decode."""
    from tfkit.terminal import Display, chatter_dropped

    with chatter_dropped():
        from tfkit._export import package_server_cpu
        from tfkit.deployment import ServerCpuOptions, model_name

        options = ServerCpuOptions(
            name=name or model_name(run),
            version=model_version,
            engine=engine,  # type: ignore[arg-type]  # it is checked there
            image=image,
            engine_image=engine_image,
            file=file,
            cores=cores,
        )
        folder, display = output or Path(f"{options.name}-server-cpu"), Display()
        bundle = package_server_cpu.package(run, folder, options, display)
    for sentence in bundle.not_checked:
        display.note(f"not checked: {sentence}")
    display.next_steps(folder / "SERVER_CPU.md", f"{folder}/smoke_test.sh", f"tfkit verify {folder}")
    return 0
