"""Package an accepted run for a microcontroller with an Ethos-U NPU: Vela's file, its cost, a TFLite Micro project.

`python export/package_npu.py RUN` does the same as `tfkit package npu RUN`.
"""

from pathlib import Path
from typing import Annotated

import typer

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.cli.package import AcceptedRun, BundleFolder, ModelName, show_bundle
from tfkit.terminal import Display, tensorflow_started

GUIDE = "NPU.md"
NOT_CHECKED = (
    "no NPU has run the compiled file: Vela's costs are its own estimates, for its default memory",
    "the C++ project was not compiled: build it, and its program says OK or FAILED",
)


def command(
    run: AcceptedRun,
    accelerator: Annotated[
        list[str] | None, typer.Option(help="An Ethos-U NPU; give it again for more. ethos-u55-128 when left out.")
    ] = None,
    output: BundleFolder = None,
    name: ModelName = None,
    micro: Annotated[bool, typer.Option(help="Write a TensorFlow Lite Micro project for a small model.")] = True,
) -> int:
    """For microcontrollers: Vela's file for an Ethos-U NPU with its cost, and a TensorFlow Lite Micro project."""
    display = Display()
    with tensorflow_started():
        accelerators = tuple(accelerator or [deployment.DEFAULT_ACCELERATOR])
        options = deployment.NpuOptions(name or deployment.model_name(run), accelerators, micro)
        folder = output or Path(f"{options.name}-npu")
        bundle = package(run, folder, options, display)
    return show_bundle(display, folder, bundle, guide=GUIDE, start=None)


def package(run: Path, destination: Path, options: deployment.NpuOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.npu_model(directory)
        samples = deployment.golden_samples(directory, served)
        stage.result(served.path.name)
    with deployment.new_bundle(destination) as folder:
        with display.stage("Compile for the NPU") as stage:
            compiled = deployment.compile_for_all(served, options, folder)
            shares = (f"{one.placement.npu_share:.0%} on {one.placement.accelerator}" for one in compiled)
            stage.result(", ".join(shares))
        values = deployment.npu_values(served, options, compiled, folder)
        no_micro = deployment.unfit_for_micro(served) if options.micro else "it was not asked for"
        checked = [f"{served.path.name} answers {len(samples.expected)} golden samples as in the run's proof"]
        not_checked = list(NOT_CHECKED[:1] if no_micro else NOT_CHECKED)
        if no_micro is None:
            with display.stage("Write the TensorFlow Lite Micro project") as stage:
                ran = deployment.run_in_micro(served, samples)
                first = compiled[0].path
                count = deployment.write_micro_data(folder / "micro", served, first, samples, ran)
                values |= deployment.micro_values(served, first, ran, count)
                (checked if ran else not_checked).append(deployment.micro_told(served, ran))
                stage.result(f"{count} samples, an arena of {values['arena_bytes']:,} bytes")
        values |= {"no_micro": no_micro, "checked": checked, "not_checked": not_checked}
        only = None if no_micro is None else (GUIDE,)
        deployment.render_templates("npu", folder, values, only=only)
        return deployment.seal_run(
            folder, "npu", options.name, directory, served, checked=checked, not_checked=not_checked
        )


if __name__ == "__main__":
    import sys

    from tfkit.cli.main import main

    sys.exit(main(command=command))
