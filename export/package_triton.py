"""Package an accepted run for NVIDIA Triton: model repository, front, watch and clients, as files.

`python export/package_triton.py RUN` does the same as `tfkit package triton RUN`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["package", "triton", *sys.argv[1:]]))

from pathlib import Path

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.deployment.repository import MODEL_TEMPLATES
from tfkit.deployment.triton import TEMPLATES
from tfkit.running import Display
from tfkit.version import __version__

NOT_CHECKED = (
    "the image was not built, and this bundle was not started: run ./smoke_test.sh where Docker is. tfkit's own tests "
    "start such a repository in Triton 2.51 with Python 3.11; the image holds a newer Triton and Python 3.12",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size and the number of instances",
)


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
            deployment.render_templates(MODEL_TEMPLATES, version.parent, described)
            largest = max(map(len, sent))
            values = deployment.triton_values(directory, served, options, request_bytes=largest)
            values |= {"checked": checked, "not_checked": NOT_CHECKED}
            files = deployment.render_templates(TEMPLATES, folder, values)
            stage.result(f"{len(files)} files beside the model")
        versions, made_by = {str(options.version): served.sha256}, f"tfkit {__version__}"
        bundle = deployment.Bundle("triton", options.name, versions, {}, checked, NOT_CHECKED, made_by)
        deployment.seal_bundle(folder, bundle)
    return bundle
