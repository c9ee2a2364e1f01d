"""What is known of a `.tflite` file for a device without running it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec, TextSpec, compressed_bytes
from tfkit.deployment.tolerances import other_processor
from tfkit.runtimes import read_last_function, read_operator_needs, read_operators, read_portability


def is_one_sigmoid(served: Artifact) -> bool:
    """Whether the file gives one number y that stands for the scores 1 - y and y of two classes."""
    return served.signature.outputs[0].shape[-1] == 1 and read_last_function(served.path) == "sigmoid"


def device_document(served: Artifact, expected: NDArray[np.float32]) -> dict[str, Any]:
    """What a program on a device must know of a file: `model.json`.

    Args:
        served: The file.
        expected: float32 (n, scores), the proved answers of the golden samples that lie beside it.

    Returns:
        Plain values.
    """
    samples, scores = expected.shape
    about: dict[str, Any] = {
        "version": 1,
        "file": served.path.name,
        "sha256": served.sha256,
        "task": served.task,
        "inputs": [{**vars(tensor), "shape": list(tensor.shape)} for tensor in served.signature.inputs],
        "outputs": [{**vars(tensor), "shape": list(tensor.shape)} for tensor in served.signature.outputs],
        "one_sigmoid": is_one_sigmoid(served),
        "class_names": list(served.class_names),
        "thresholds": list(served.thresholds),
        "samples": samples,
        "scores": scores,
        "apart": other_processor(served, expected),
    }
    if isinstance(served.input, ImageSpec):
        return about | {"image": dict(vars(served.input))}
    assert isinstance(served.input, TextSpec)
    return about | {"text": {"sequence_length": served.input.sequence_length, "tokenizer": "tokenizer"}}


def size_report(served: Artifact) -> dict[str, Any]:
    """How large a file is, on disk and in an app, and what a runtime must have to read it.

    Args:
        served: The file.

    Returns:
        `file_bytes`; `compressed_bytes`, as in an app's archive; `min_runtime`, the first TensorFlow Lite with all its
        operators; `operators`, how often each occurs, its version, and the first TensorFlow Lite with it.
    """
    names = [operator.name for operator in read_operators(served.path)]
    needs = read_operator_needs(served.path)
    return {
        "file": served.path.name,
        "file_bytes": served.bytes,
        "compressed_bytes": compressed_bytes(served.path),
        "min_runtime": read_portability(served.path).min_runtime,
        "operators": [{**vars(need), "count": names.count(need.name)} for need in needs],
    }
