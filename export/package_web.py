"""Package an accepted run for browsers: a page that answers about pictures on the visitor's own device.

`python export/package_web.py RUN` does the same as `tfkit package web RUN`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["package", "web", *sys.argv[1:]]))

from pathlib import Path

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.running import Display
from tfkit.version import __version__

NOT_CHECKED = (
    "no browser has opened the page with this model: it checks itself when one does",
    "JPEGs are decoded by the browser, which may differ from training by a grey level",
)


def package(run: Path, destination: Path, options: deployment.WebOptions, display: Display) -> deployment.Bundle:
    """Write the bundle."""
    directory = RunDirectory(run)
    with display.stage("Compare the run with what was written") as stage:
        served = deployment.web_model(directory, options)
        stage.result(served.path.name)
    with deployment.new_bundle(destination) as folder:
        with display.stage("Answer the golden samples") as stage:
            samples = deployment.write_web_model(folder, directory, served)
            stage.result(f"{samples} as in the proof")
        checked = (f"{served.path.name} answers {samples} golden samples as in the run's proof",)
        with display.stage("Write the bundle") as stage:
            values = deployment.web_values(served, options) | {"checked": checked, "not_checked": NOT_CHECKED}
            files = deployment.render_templates("web", folder, values)
            stage.result(f"{len(files)} files beside the model")
        made_by = f"tfkit {__version__}"
        bundle = deployment.Bundle("web", options.name, {"1": served.sha256}, {}, checked, NOT_CHECKED, made_by)
        deployment.seal_bundle(folder, bundle)
    return bundle
