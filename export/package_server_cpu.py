"""Package an accepted run for CPU servers: an existing engine with its settings, front, watch and clients, as files.

`python export/package_server_cpu.py RUN` does the same as `tfkit package server-cpu RUN`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["package", "server-cpu", *sys.argv[1:]]))

from pathlib import Path

from tfkit import deployment
from tfkit.artifacts import RunDirectory
from tfkit.deployment.repository import MODEL_TEMPLATES
from tfkit.deployment.server_cpu import TEMPLATES
from tfkit.running import Display
from tfkit.version import __version__

NOT_CHECKED = (
    "the image was not built, and no server was started: run ./smoke_test.sh where Docker is. No engine's server could "
    "be had where tfkit is built; its library alone was asked",
    "kubernetes, kserve.yaml, nginx, Prometheus and Grafana were not started with this model",
    "memory and CPU limits are estimates from the model's size and the number of cores",
)


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
            values = deployment.cpu_values(directory, served, engine, options, request_bytes=largest)
            values |= {"checked": checked, "not_checked": not_checked}
            if engine == "triton":
                values |= {"warm_up": deployment.cpu_warm_up(model, directory, served)}
                deployment.render_templates(MODEL_TEMPLATES, model, values)
                deployment.write_labels(model, served)
            files = deployment.render_templates(TEMPLATES[engine], folder, values, leave_out=("TRITON.md",))
            stage.result(f"{len(files)} files beside the model")
        versions, made_by = {str(options.version): served.sha256}, f"tfkit {__version__}"
        bundle = deployment.Bundle("server-cpu", options.name, versions, {}, checked, not_checked, made_by)
        deployment.seal_bundle(folder, bundle)
    return bundle
