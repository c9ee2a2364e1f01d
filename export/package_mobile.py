"""Package an accepted run for phones and small computers: the file, its golden samples, and programs that read them.

`python export/package_mobile.py RUN` does the same as `tfkit package mobile RUN`.
"""

from pathlib import Path
from typing import Annotated

import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BundleFolder, ModelName, show_bundle
from tfkit.terminal import Display, tensorflow_started

NOT_CHECKED = (
    "no phone has run this model: GoldenTest.kt, GoldenTests.swift and cpp/check say whether one answers as the proof",
    "ios was not compiled: there is no Swift where this was made",
    "android was not built as an app, nor the versions in its build.gradle.kts resolved",
    "latency and memory on a device are not known",
)


def command(
    run: AcceptedRun,
    output: BundleFolder = None,
    name: ModelName = None,
    file: Annotated[
        str | None, typer.Option(help="Which .tflite file of the run; int8 first when left out.", metavar="FILE")
    ] = None,
    core_ml: Annotated[bool, typer.Option(help="Make a Core ML package too, which nobody here can run.")] = False,
) -> int:
    """For phones and small computers: Kotlin, Swift, Python and C++ that check themselves on golden samples."""
    display = Display()
    with tensorflow_started():
        options = deployment.MobileOptions(name or deployment.model_name(run), file, core_ml)
        folder = output or Path(f"{options.name}-mobile")
        bundle = package(run, folder, options, display)
    start = f"cd {folder}/linux && pip install -r requirements.txt && python3 classifier.py --check"
    return show_bundle(display, folder, bundle, guide="MOBILE.md", start=start)


def package(run: Path, destination: Path, options: deployment.MobileOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.mobile_model(directory, options)
        stage.result(served.path.name)
    with display.stage("Answer the golden samples") as stage:
        samples = deployment.golden_samples(directory, served)
        stage.result(f"{len(samples.expected)} as in the proof")
    with deployment.new_bundle(destination) as folder:
        with display.stage("Write the bundle") as stage:
            deployment.write_mobile_model(folder, served, samples)
            not_checked = NOT_CHECKED
            if options.core_ml:
                deployment.write_core_ml(folder, directory, served, name=options.name)
                not_checked += (deployment.CORE_ML_NOT_CHECKED,)
            values = deployment.mobile_values(served, options, samples)
            left_out = deployment.mobile_left_out(served)
            checked = (f"{served.path.name} answers {len(samples.expected)} golden samples as in the run's proof",)
            values |= {"checked": checked, "not_checked": not_checked}
            files = deployment.render_templates("mobile", folder, values, leave_out=left_out)
            stage.result(f"{len(files)} files beside the model")
        return deployment.seal_run(
            folder, "mobile", options.name, directory, served, checked=checked, not_checked=not_checked
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
