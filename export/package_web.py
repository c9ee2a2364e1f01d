"""Package an accepted run for browsers: a page that answers about pictures or texts on the visitor's device.

`python export/package_web.py RUN` does the same as `tfkit package web RUN`.
"""

from pathlib import Path
from typing import Annotated

import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BundleFolder, ModelName, show_bundle
from tfkit.terminal import Display, chatter_dropped

NOT_CHECKED = ("no browser has opened the page with this model: it checks itself when one does",)
OF_PICTURES = "JPEGs are decoded by the browser, which may differ from training by a grey level"
OF_TEXTS = "letters that are newer than the browser's Unicode may be cut otherwise than in training"


def command(
    run: AcceptedRun,
    output: BundleFolder = None,
    name: ModelName = None,
    file: Annotated[
        str | None, typer.Option(help="Which .tflite file of the run; int8 first when left out.", metavar="FILE")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What stands above the page; the name when left out.")] = None,
) -> int:
    """For browsers: a page that answers about pictures or texts on the visitor's own device."""
    display = Display()
    with chatter_dropped():
        options = deployment.WebOptions(name or deployment.model_name(run), file, title)
        folder = output or Path(f"{options.name}-web")
        bundle = package(run, folder, options, display)
    commands = f"cd {folder} && npm install --ignore-scripts && python3 -m http.server 8000"
    return show_bundle(display, folder, bundle, guide="WEB.md", start=commands)


def package(run: Path, destination: Path, options: deployment.WebOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.web_model(directory, options)
        stage.result(served.path.name)
    with display.stage("Answer the golden samples") as stage:
        samples = deployment.golden_samples(directory, served)
        stage.result(f"{len(samples.expected)} as in the proof")
    checked = (f"{served.path.name} answers {len(samples.expected)} golden samples as in the run's proof",)
    not_checked = (*NOT_CHECKED, OF_TEXTS if samples.texts else OF_PICTURES)
    with deployment.new_bundle(destination) as folder:
        with display.stage("Write the bundle") as stage:
            deployment.write_web_model(folder, served, samples)
            values = deployment.web_values(served, options) | {"checked": checked, "not_checked": not_checked}
            left_out = deployment.web_left_out(served)
            files = deployment.render_templates("web", folder, values, leave_out=left_out)
            stage.result(f"{len(files)} files beside the model")
        return deployment.seal_run(
            folder, "web", options.name, directory, served, checked=checked, not_checked=not_checked
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
