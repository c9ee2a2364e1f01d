"""A TensorFlow Lite Micro project: the model and its golden samples as arrays, and the operators of the file alone.

What TensorFlow Lite Micro has kernels for is a fact of its `micro_mutable_op_resolver.h` (August 2026); the name of the
function that adds one is made of the operator's name.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec
from tfkit.deployment.golden_files import GoldenSamples
from tfkit.errors import ExportError
from tfkit.files import write_whole
from tfkit.runtimes import read_operators

_KERNELS = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD
FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS
LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU
RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF
TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_NAMED_OTHERWISE = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "ethos-u": "AddEthosU",  # what Vela puts in place of all that runs on the NPU
}
_LARGEST_MODEL = 2 << 20
_MOST_GOLDEN_BYTES = 128 << 10  # of inputs, in the program's flash
_WORKER = Path(__file__).with_name("micro_worker.py")
_TIME_LIMIT_S = 300
# Whole numbers are rounded in each runtime's own way; a sample that is further off has another answer.
_STEPS_APART = 8
_INSTALL = "pip install 'tfkit[npu]'"


@dataclass(frozen=True)
class MicroRun:
    """What TensorFlow Lite Micro made of a file on this machine.

    Attributes:
        arena_bytes: The smallest arena it ran in, to 64 bytes.
        answers: Its outputs, whole numbers (n, outputs).
        steps_apart: How far they are from LiteRT's at most, in steps.

    Example:
        >>> MicroRun(25792, np.zeros((8, 3), np.int64), 0).arena_bytes
        25792
    """

    arena_bytes: int
    answers: NDArray[np.int_]
    steps_apart: int


def unfit_for_micro(served: Artifact) -> str | None:
    """Why a file gets no TensorFlow Lite Micro project, in a sentence; None when it gets one.

    Args:
        served: An int8 file.
    """
    if not isinstance(served.input, ImageSpec):
        return "the project feeds pictures alone"
    if served.bytes > _LARGEST_MODEL:
        return f"{served.bytes / 1e6:.1f} MB are too much for a microcontroller's flash"
    if missing := sorted({operator.name for operator in read_operators(served.path)} - set(_KERNELS.split())):
        return f"TensorFlow Lite Micro has no {', '.join(missing)}"
    types = {tensor.dtype for tensor in (*served.signature.inputs, *served.signature.outputs)}
    return None if types <= {"int8", "uint8"} else "its inputs or outputs are no 8-bit numbers"


def resolver_calls(path: Path) -> tuple[str, ...]:
    """The functions that add a file's operators to TensorFlow Lite Micro's resolver.

    Args:
        path: A `.tflite` file whose operators all have kernels there.

    Example:
        >>> "AddConv2D" in resolver_calls(Path("model_int8.tflite"))
        True
    """
    return tuple(sorted({_added_by(operator.name) for operator in read_operators(path)}))


def _added_by(operator: str) -> str:
    return _NAMED_OTHERWISE.get(operator) or "Add" + "".join(map(_capitalised, operator.split("_")))


def _capitalised(part: str) -> str:
    return part if part[0].isdigit() else part.capitalize()


def run_in_micro(served: Artifact, samples: GoldenSamples) -> MicroRun | None:
    """Answer golden samples in TensorFlow Lite Micro, in a process of its own.

    Args:
        served: An int8 file of pictures.
        samples: Its golden samples.

    Returns:
        What came out; None without the package `tflite-micro`.

    Raises:
        ExportError: When TensorFlow Lite Micro refuses the file, or answers otherwise than LiteRT.
    """
    if util.find_spec("tflite_micro") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        given = Path(folder) / "inputs.npy"
        np.save(given, samples.inputs["pixels"].astype(served.signature.inputs[0].dtype))
        command = [sys.executable, str(_WORKER), str(served.path.resolve()), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT_S)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ExportError(f"TensorFlow Lite Micro does not run '{served.path}': {reason.removeprefix('refused: ')}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    answers = np.asarray(told["answers"], np.int_)
    apart = int(np.abs(answers - expected_steps(served, samples)).max())
    if apart > _STEPS_APART:
        raise ExportError(
            f"TensorFlow Lite Micro answers the golden samples of '{served.path}' otherwise than LiteRT: "
            f"{apart} steps apart",
            hint="leave the project out with --no-micro",
        )
    return MicroRun(told["arena_bytes"], answers, apart)


def expected_steps(served: Artifact, samples: GoldenSamples) -> NDArray[np.int_]:
    """What LiteRT answered to golden samples, as the whole numbers that the file gives (n, outputs)."""
    (output,) = served.signature.outputs
    assert output.scale is not None and output.zero_point is not None
    scores = samples.expected[:, -int(output.shape[-1] or 0) :]  # of one sigmoid unit the second score is its own
    steps: NDArray[np.int_] = np.rint(scores / np.float32(output.scale)).astype(np.int_) + output.zero_point
    return steps


def write_micro_data(
    folder: Path, served: Artifact, compiled: Path, samples: GoldenSamples, run: MicroRun | None
) -> int:
    """Write `model_data.cc` and `golden_data.cc`: the model, what Vela made of it, inputs and answers.

    Args:
        folder: The project's folder, made here.
        served: An int8 file of pictures.
        compiled: What Vela made of it.
        samples: Its golden samples; as many as fit into 128 KiB.
        run: What TensorFlow Lite Micro answered; LiteRT's answers without it.

    Returns:
        How many samples were written.
    """
    folder.mkdir()
    pixels = samples.inputs["pixels"].astype(served.signature.inputs[0].dtype)
    count: int = max(1, min(len(pixels), _MOST_GOLDEN_BYTES // pixels[0].nbytes))
    answers = (expected_steps(served, samples) if run is None else run.answers)[:count]
    model = ["#if USE_NPU", _array("kModel", compiled.read_bytes()), "#else"]
    model += [_array("kModel", served.path.read_bytes()), "#endif"]
    write_whole(folder / "model_data.cc", "\n".join(['#include "data.h"', *model]) + "\n")
    golden = [_array("kInputs", pixels[:count].tobytes()), _array("kExpected", answers.reshape(-1).tolist(), "Step")]
    write_whole(folder / "golden_data.cc", "\n".join(['#include "data.h"', *golden]) + "\n")
    return count


def _array(name: str, values: Iterable[int], kind: str = "unsigned char") -> str:
    numbers = list(map(str, values))
    lines = [",".join(numbers[start : start + 24]) for start in range(0, len(numbers), 24)]
    return f"alignas(16) const {kind} {name}[] = {{\n" + ",\n".join(lines) + "};"


def micro_values(served: Artifact, compiled: Path, run: MicroRun | None, count: int) -> Mapping[str, Any]:
    """What the templates of the project name.

    Args:
        served: An int8 file of pictures.
        compiled: What Vela made of it.
        run: What TensorFlow Lite Micro made of it here.
        count: How many golden samples there are.

    Returns:
        Names and numbers.
    """
    (output,) = served.signature.outputs
    assert isinstance(served.input, ImageSpec)
    # A microcontroller's pointers are half as long, so that it needs less than this machine did.
    arena = 1024 * (-(-run.arena_bytes // 1024) + 1) if run else 4 * _largest_tensors(served)
    return {
        "resolvers": resolver_calls(served.path),
        "npu_resolvers": resolver_calls(compiled),
        "arena_bytes": arena,
        "arena_told": f"it ran in {run.arena_bytes} here, with pointers of 64 bits" if run else "a guess: not measured",
        "micro_samples": count,
        "input_bytes": math.prod(served.input.shape),
        "outputs": output.shape[-1],
        "output_c": f"{output.dtype}_t",
        "steps": 0 if run else 2,
        "expected_told": "what TensorFlow Lite Micro answered" if run else "what LiteRT answered",
        "height": served.input.height,
        "width": served.input.width,
        "channels": served.input.channels,
    }


def micro_told(served: Artifact, run: MicroRun | None) -> str:
    """What TensorFlow Lite Micro made of a file here, in a sentence."""
    if run is None:
        return f"TensorFlow Lite Micro did not run {served.path.name} here: {_INSTALL}"
    steps = "1 step" if run.steps_apart == 1 else f"{run.steps_apart} steps"
    near = f"at most {steps} off LiteRT's answers" if run.steps_apart else "with the same answers as LiteRT"
    count = len(run.answers)
    return f"TensorFlow Lite Micro answered {count} golden samples, {near}, in {run.arena_bytes:,} bytes of arena"


def _largest_tensors(served: Artifact) -> int:
    shapes = [shape for operator in read_operators(served.path) for shape in operator.shapes]
    largest: list[int] = sorted(map(math.prod, shapes), reverse=True)
    return 1024 * (1 + sum(largest[:3]) // 1024)
