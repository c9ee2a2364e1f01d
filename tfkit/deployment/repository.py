"""What every model repository of Triton holds beside the model, whichever backend runs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import Artifact, RunDirectory
from tfkit.deployment.decoding import fed_tensors
from tfkit.files import write_whole

MODEL_TEMPLATES = "triton_model"
MAX_BATCH = 32
TYPES = {"uint8": "TYPE_UINT8", "int8": "TYPE_INT8", "int32": "TYPE_INT32", "float32": "TYPE_FP32"}


def warm_up_tensors(
    folder: Path, run: RunDirectory, served: Artifact, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Write a golden sample's tensors to `warmup` in a model's folder, and say what config.pbtxt must say of them.

    Args:
        folder: The model's folder.
        run: The run.
        served: Its file.
        names: What the repository calls the tensors, where it is not what `fed_tensors` does.

    Returns:
        For each its name, type, sizes and file.

    Raises:
        ExportError: When the golden samples have changed.
    """
    (folder / "warmup").mkdir()
    run.vouches_for(run.golden / "inputs.npz")
    inputs = []
    with np.load(run.golden / "inputs.npz") as arrays:
        for tensor in fed_tensors(served):
            values = arrays[tensor.name][:1].astype(tensor.dtype)
            (folder / "warmup" / tensor.name).write_bytes(values.tobytes())
            told = {"name": names.get(tensor.name, tensor.name), "type": TYPES[tensor.dtype], "file": tensor.name}
            inputs.append(told | {"dims": values.shape[1:]})
    return inputs


def write_labels(folder: Path, served: Artifact) -> None:
    """Write the names that Triton's classification extension gives.

    Args:
        folder: The model's folder.
        served: The file.
    """
    write_whole(folder / "labels.txt", "".join(f"{one}\n" for one in served.class_names))
