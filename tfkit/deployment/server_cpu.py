"""A bundle for CPU servers: which file an existing engine runs, its settings, and the proof of its answers here."""

import math
import shutil
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
    v2_values,
    write_decoder,
)
from tfkit.deployment.engines import Engine, graph_tensors
from tfkit.deployment.names import check_images, check_name, own_image
from tfkit.deployment.proved import accepted_file
from tfkit.deployment.repository import MAX_BATCH, TYPES, warm_up_tensors
from tfkit.deployment.requests import GoldenRequest
from tfkit.deployment.servers import memory_mib, openvino, triton
from tfkit.deployment.tolerances import other_engine
from tfkit.deployment.triton import TRITON_IMAGE, triton_arguments
from tfkit.errors import ConfigError, ExportError
from tfkit.tasks import Decision, task_named

OPENVINO_IMAGE = "openvino/model_server:2025.4"
IMAGES: Mapping[Engine, str] = {"triton": TRITON_IMAGE, "openvino": OPENVINO_IMAGE}
SERVER_CPU_TEMPLATES: Mapping[Engine, tuple[str, ...]] = {
    "triton": ("server_cpu", "kserve_v2", "servers", "triton"),
    "openvino": ("server_cpu", "server_cpu_openvino", "kserve_v2", "servers"),
}


@dataclass(frozen=True)
class ServerCpuOptions:
    """What a bundle for CPU servers is told.

    Attributes:
        name: The model's name on the server: small letters, digits and dashes, 40 at most.
        version: The number of this version, 1 or more.
        engine: `triton`, whose backend is onnxruntime, or `openvino`, OpenVINO Model Server; None chooses by the file.
        image: What the bundle's own image is called; its tag is the version when None.
        engine_image: The engine's image, with a tag; the pinned one when None.
        file: Which of the run's files; `model_int8.onnx` first, then other `.onnx` files, then `.tflite`, when None.
        cores: For how many cores the engine is set.

    Raises:
        ConfigError: Tells every fault of them.

    Example:
        >>> ServerCpuOptions("digits", engine="openvino").cores
        2
    """

    name: str
    version: int = 1
    engine: Engine | None = None
    image: str | None = None
    engine_image: str | None = None
    file: str | None = None
    cores: int = 2

    def __post_init__(self) -> None:
        faults = check_name(self.name)
        if self.version < 1:
            faults.append(f"the version must be 1 or more; got {self.version}")
        if self.cores < 1:
            faults.append(f"there must be 1 core or more; got {self.cores}")
        if self.engine not in (None, "triton", "openvino"):
            faults.append(f"the engine is triton or openvino; got {self.engine}")
        faults += check_images(self.image, self.engine_image or OPENVINO_IMAGE)
        if faults:
            raise ConfigError("; ".join(faults), hint="see tfkit package server-cpu --help")

    @property
    def image_name(self) -> str:
        """The bundle's own image."""
        return self.image or own_image(self.name, self.version)


def cpu_model(run: RunDirectory, options: ServerCpuOptions) -> tuple[Artifact, Engine]:
    """The file of a run, and the engine that runs it.

    Args:
        run: The run.
        options: What the bundle is told.

    Returns:
        An accepted `.onnx` file for either engine, onnxruntime when nobody said one: the file was proved with it; or
        a `.tflite` file for OpenVINO, where the run has no `.onnx` file.

    Raises:
        ExportError: When there is none, the engine cannot read it, or nobody could decode requests for it.
    """
    served = accepted_file(run, ("onnx", "tflite"), file=options.file)
    refuse_undecodable(run, served)
    if served.format == "tflite" and options.engine == "triton":
        raise ExportError(
            f"onnxruntime reads no .tflite file, and '{served.path.name}' is one",
            hint="add onnx_int8 to export.formats; or say --engine openvino; or tfkit package triton",
        )
    return served, options.engine or ("triton" if served.format == "onnx" else "openvino")


def write_cpu_model(folder: Path, served: Artifact, options: ServerCpuOptions) -> Path:
    """Write the model repository, and beside the client what decodes requests.

    Args:
        folder: The bundle's folder.
        served: The file.
        options: What the bundle is told.

    Returns:
        The model's folder in the repository.
    """
    model = folder / "models" / options.name
    (model / str(options.version)).mkdir(parents=True)
    shutil.copyfile(served.path, model / str(options.version) / served.path.name)
    (folder / "client").mkdir()
    write_decoder(folder / "client", served)
    return model


def golden_answers(served: Artifact, sent: Sequence[bytes], scores: NDArray[np.float32]) -> tuple[GoldenRequest, ...]:
    """The golden samples with what clients must make of a file's scores.

    Args:
        served: The file.
        sent: The samples as clients have them.
        scores: What the file gave in its proof, float32 (samples, width).

    Returns:
        Each with its answer by name.
    """
    task = task_named(served.task)
    gives = task.output
    rows: list[dict[str, Any]] = [{gives: row} for row in scores.tolist()]
    if task.has_labels and task.marked is not None:
        marked = task.marked(scores, Decision(thresholds=served.thresholds))
        for row, chosen in zip(rows, marked, strict=True):
            given = [name if one else "" for name, one in zip(served.class_names, chosen, strict=True)]
            row["labels"] = given if task.gives_several else [name for name in given if name]
    return tuple(GoldenRequest(one, row) for one, row in zip(sent, rows, strict=True))


def cpu_warm_up(folder: Path, run: RunDirectory, served: Artifact) -> tuple[dict[str, Any], ...]:
    """Write a golden sample as Triton's `model_warmup` takes it, and say what config.pbtxt must say of it.

    Args:
        folder: The model's folder in the repository.
        run: The run.
        served: Its file.

    Returns:
        As `warm_up_samples` gives it.
    """
    inputs = warm_up_tensors(folder, run, served, graph_tensors(served)[0])
    return tuple({"name": f"{batch} at once", "batch": batch, "count": 3, "inputs": inputs} for batch in (1, MAX_BATCH))


def cpu_values(
    run: RunDirectory,
    served: Artifact,
    engine: Engine,
    options: ServerCpuOptions,
    *,
    proved: NDArray[np.float32],
    request_bytes: int,
) -> dict[str, Any]:
    """What the templates of `server_cpu` name.

    Args:
        run: The run.
        served: Its file.
        engine: The engine.
        options: What the bundle is told.
        proved: What the file answered to the golden samples in the run's proof.
        request_bytes: The largest decoded golden sample.

    Returns:
        Names, numbers and limits.
    """
    names, output = graph_tensors(served)
    width, width_names = served.signature.outputs[0].shape[-1], bool(served.class_names)
    inputs = [{"name": names[one.name], "type": TYPES[one.dtype], "dims": one.shape[1:]} for one in fed_tensors(served)]
    return v2_values(run, served, proved, request_bytes=request_bytes) | {
        "name": options.name,
        "version": options.version,
        "engine": engine,
        "image": options.image_name,
        "server_image": options.engine_image or IMAGES[engine],
        "server": triton(options.name) if engine == "triton" else openvino(options.name),
        "arguments": triton_arguments(),
        "requirements": (),  # the server's
        "client_requirements": pinned(decoder_packages(served)),
        "client_needs": "what requirements.txt lists",
        "cores": options.cores,
        "backend": "onnxruntime",
        "max_batch": MAX_BATCH if served.format == "onnx" else 1,
        "inputs": inputs,
        "outputs": [{"name": output, "type": "TYPE_FP32", "dims": (width,), "labelled": width_names}],
        "asked_outputs": [output],
        "graph_names": names,
        "apart": other_engine(served, proved),
        "memory_mib": memory_mib(384, 3 * options.cores, served.bytes),
    }


def decoded_bytes(served: Artifact) -> int:
    """The size of one example's tensors, which is what clients send.

    Example:
        >>> decoded_bytes(artifact)  # doctest: +SKIP
        150528
    """
    sizes = [
        np.dtype(one.dtype).itemsize * math.prod(size or 1 for size in one.shape[1:]) for one in fed_tensors(served)
    ]
    return sum(sizes) * (MAX_BATCH if served.format == "onnx" else 1)
