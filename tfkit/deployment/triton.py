"""A bundle for NVIDIA Triton: which file, its model repository, and the proof that its code answers as the run did."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, RunDirectory
from tfkit.deployment.decoding import (
    decoder_packages,
    fed_tensors,
    pinned,
    refuse_undecodable,
    sent_name,
    v2_values,
    write_decoder,
)
from tfkit.deployment.names import check_images, check_name, own_image
from tfkit.deployment.proved import accepted_file
from tfkit.deployment.repository import MAX_BATCH, TYPES, warm_up_tensors, write_labels
from tfkit.deployment.requests import GoldenRequest
from tfkit.deployment.servers import memory_mib, triton
from tfkit.deployment.templates import render_templates
from tfkit.deployment.tolerances import same_runtime
from tfkit.errors import ConfigError, ExportError
from tfkit.tasks import task_named

# Triton 2.51's Python misreads arrays of numpy 2 (pybind11 before 2.12): bytes are the first one over and over.
TRITON_PINS = {"numpy": "1.26.4", "ml-dtypes": "0.5.4"}  # the last of the latter for numpy 1
TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:24.12-py3"
TRITON_TEMPLATES = ("triton", "kserve_v2", "servers")
VERSION_TEMPLATES = "triton_version"


@dataclass(frozen=True)
class TritonOptions:
    """What a bundle for Triton is told.

    Attributes:
        name: The model's name on the server: small letters, digits and dashes, 40 at most.
        version: The number of this version, 1 or more.
        image: What the bundle's own image is called; its tag is the version when None.
        triton_image: Triton's image, with a tag.
        file: Which of the run's files; the accepted `.tflite` when None, int8 first, else the accepted `.onnx`.
        instances: How many requests are computed at the same time, each on one core.
        warm_up: Whether Triton runs golden samples before it says that it is ready.

    Raises:
        ConfigError: Tells every fault of them.

    Example:
        >>> TritonOptions("digits").instances
        2
    """

    name: str
    version: int = 1
    image: str | None = None
    triton_image: str = TRITON_IMAGE
    file: str | None = None
    instances: int = 2
    warm_up: bool = True

    def __post_init__(self) -> None:
        faults = check_name(self.name)
        if self.version < 1:
            faults.append(f"the version must be 1 or more; got {self.version}")
        if self.instances < 1:
            faults.append(f"there must be 1 instance or more; got {self.instances}")
        faults += check_images(self.image, self.triton_image)
        if faults:
            raise ConfigError("; ".join(faults), hint="name the model with --name, such as ants-or-bees")

    @property
    def image_name(self) -> str:
        """The bundle's own image."""
        return self.image or own_image(self.name, self.version)


def triton_model(run: RunDirectory, options: TritonOptions) -> Artifact:
    """The file of a run that Triton's Python backend runs.

    Args:
        run: The run.
        options: What the bundle is told.

    Returns:
        An accepted `.tflite` or `.onnx` file of pictures or of texts.

    Raises:
        ExportError: When there is none, or its input is neither pictures nor texts that word pieces are made of.
    """
    served = accepted_file(run, ("tflite", "onnx"), file=options.file)
    refuse_undecodable(run, served)
    return served


def write_version(folder: Path, served: Artifact, options: TritonOptions) -> Path:
    """Write a version's folder: the file, the code that answers, what that must know, and the tokeniser.

    Args:
        folder: The bundle's folder.
        served: The file.
        options: What the bundle is told.

    Returns:
        The version's folder in the model repository.
    """
    version = folder / "models" / options.name / str(options.version)
    version.mkdir(parents=True)
    shutil.copyfile(served.path, version / served.path.name)
    render_templates(VERSION_TEMPLATES, version, {})
    write_decoder(version, served)
    write_labels(version.parent, served)
    return version


def triton_arguments() -> tuple[str, ...]:
    """What Triton is started with in a bundle's image."""
    return (
        "--model-repository=/models",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--exit-on-error=true",
        "--exit-timeout-secs=25",
        "--metrics-config=summary_latencies=true",
        "--allow-gpu-metrics=false",
        "--log-info=false",
    )


def answered_by_bundle(version: Path, sent: Sequence[bytes]) -> tuple[GoldenRequest, ...]:
    """What a version's own code answers, in a process of its own that knows nothing of tfkit.

    Args:
        version: The version's folder.
        sent: Encoded pictures, or texts in UTF-8.

    Returns:
        Each with its answer: the outputs by name.

    Raises:
        ExportError: When the code fails, or refuses one.
    """
    with tempfile.TemporaryDirectory(prefix="tfkit-") as name:
        files = [Path(name) / str(number) for number in range(len(sent))]
        for file, content in zip(files, sent, strict=True):
            file.write_bytes(content)
        words = [sys.executable, "-B", str((version / "answering.py").resolve()), *map(str, files)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(words, capture_output=True, text=True, cwd=name, env=environment)
    if done.returncode:
        told = " ".join(done.stderr.split())[-500:]
        raise ExportError(f"the bundle's own code does not answer the run's golden samples: {told}")
    rows = json.loads(done.stdout)
    return tuple(GoldenRequest(one, row) for one, row in zip(sent, rows, strict=True))


def refuse_other_answers(requests: Sequence[GoldenRequest], served: Artifact, proved: NDArray[np.float32]) -> None:
    """See that a bundle's own code answers as the file did in the run's proof.

    Args:
        requests: The golden samples with the bundle's answers.
        served: The file.
        proved: What it answered then, float32 (samples, width).

    Raises:
        ExportError: When an answer differs.
    """
    gives = task_named(served.task).output
    got = np.array([request.answer[gives] for request in requests], np.float32)
    apart = float(np.abs(got - proved).max()) if got.shape == proved.shape else float("inf")
    if not apart <= same_runtime(proved):
        raise ExportError(
            f"'{served.path}' answers its golden samples otherwise than in the run's proof: {apart:.3g} apart",
            hint="run the recipe again on this machine",
        )


def warm_up_samples(
    folder: Path, run: RunDirectory, served: Artifact, sent: Sequence[bytes]
) -> tuple[dict[str, Any], ...]:
    """Write golden samples as Triton's `model_warmup` takes them, and say what config.pbtxt must say of them.

    Args:
        folder: The model's folder in the repository; the files are written to `warmup` in it.
        run: The run.
        served: Its file.
        sent: The golden samples as clients send them.

    Returns:
        For each warm-up request its name, how often it is run, how many copies of the sample it holds, and its inputs.
    """
    tensors = warm_up_tensors(folder, run, served, {})
    name, longest = sent_name(served), max(sent, key=len)  # Triton copies one sample to make a batch
    (folder / "warmup" / name).write_bytes(len(longest).to_bytes(4, "little") + longest)
    encoded = [{"name": name, "type": "TYPE_STRING", "dims": (1,), "file": name}]
    return (
        {"name": "as clients send it", "batch": 1, "count": 5, "inputs": encoded},
        {"name": "a batch", "batch": 8, "count": 1, "inputs": encoded},
        {"name": "the tensors themselves", "batch": 1, "count": 1, "inputs": tensors},
    )


def repository_values(served: Artifact, options: TritonOptions, warm_up: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `config.pbtxt` names.

    Args:
        served: The file.
        options: What the bundle is told.
        warm_up: As `warm_up_samples` gives it.

    Returns:
        Names, types, sizes.
    """
    (output,) = served.signature.outputs
    width, gives = output.shape[-1], task_named(served.task).output
    inputs = [{"name": sent_name(served), "type": "TYPE_STRING", "dims": (1,)}]
    inputs += [{"name": one.name, "type": TYPES[one.dtype], "dims": one.shape[1:]} for one in fed_tensors(served)]
    outputs: list[dict[str, Any]] = [
        {"name": gives, "type": "TYPE_FP32", "dims": (width,), "labelled": bool(served.class_names)}
    ]
    if gives == "scores":
        labels = width if task_named(served.task).gives_several else 1
        outputs.append({"name": "labels", "type": "TYPE_STRING", "dims": (labels,), "labelled": False})
    return {
        "name": options.name,
        "version": options.version,
        "file": served.path.name,
        "sent": sent_name(served),
        "inputs": inputs,
        "outputs": outputs,
        "backend": "python",
        "cores": options.instances,
        "max_batch": MAX_BATCH,
        "warm_up": warm_up if options.warm_up else (),
    }


def triton_values(
    run: RunDirectory,
    served: Artifact,
    options: TritonOptions,
    *,
    proved: NDArray[np.float32],
    request_bytes: int,
) -> dict[str, Any]:
    """What the templates of `triton` name.

    Args:
        run: The run.
        served: Its file.
        options: What the bundle is told.
        proved: What the file answered to the golden samples in the run's proof.
        request_bytes: The largest golden request.

    Returns:
        Names, numbers and limits, those of `repository_values` among them.
    """
    runtime = "onnxruntime" if served.format == "onnx" else "ai-edge-litert"
    outputs = repository_values(served, options, ())["outputs"]
    return v2_values(run, served, proved, request_bytes=request_bytes) | {
        **repository_values(served, options, ()),
        "image": options.image_name,
        "server_image": options.triton_image,
        "server": triton(options.name),
        "arguments": triton_arguments(),
        "runtime": runtime,
        "requirements": pinned((runtime, *decoder_packages(served)), instead=TRITON_PINS),
        "memory_mib": memory_mib(256 + 128 * options.instances, 2 * options.instances, served.bytes),
        "asked_outputs": [output["name"] for output in outputs],
        "client_needs": "nothing but Python",
    }
