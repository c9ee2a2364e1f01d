"""How far a file's answers may be from the run's proof, by where it answers: one table for all bundles.

Numbers are absolute for scores, which go from 0 to 1; of larger answers (numbers in their own units) they are shares of
the largest proved one.
"""

import numpy as np
from numpy.typing import ArrayLike

from tfkit.artifacts import Artifact

_SAME_RUNTIME = 1e-4  # sums in another order, for another size of batch; far less than a step of int8
_WHOLE = 1e-6  # whole numbers are the same everywhere; they are told as floats
_FLOAT = 2e-3  # another processor adds in another order, over networks of some hundred layers
# Dynamic int8 rounds its activations anew in each run: of a MiniLM of 77 intents, scores were .013 apart in LiteRT.js.
_DYNAMIC = 2e-2
_STEPS = 5e-3  # one step of an int8 score is 4e-3: float operators beside the integers may move a result by one
_OTHER_ROUNDING = 0.08  # onnxruntime and OpenVINO round whole numbers in ways of their own


def same_runtime(proved: ArrayLike) -> float:
    """For the same runtime on the same kind of machine.

    Args:
        proved: What the file answered in the run's proof.

    Example:
        >>> same_runtime([0.25, 0.75]), round(same_runtime([-300.0, 20.0]), 6)
        (0.0001, 0.03)
    """
    return _SAME_RUNTIME * _largest(proved)


def other_processor(served: Artifact, proved: ArrayLike) -> float:
    """For the same file in LiteRT on another kind of machine: a phone, a browser, a server.

    Args:
        served: The file.
        proved: What it answered in the run's proof.
    """
    if served.signature.outputs[0].dtype != "float32":
        return _WHOLE * _largest(proved)
    by_kind = {"none": _FLOAT, "float16": _FLOAT, "dynamic_int8": _DYNAMIC}
    return by_kind.get(served.quantization, _STEPS) * _largest(proved)


def other_engine(served: Artifact, proved: ArrayLike) -> float:
    """For onnxruntime and OpenVINO.

    Args:
        served: The file.
        proved: What it answered in the run's proof.
    """
    return (_FLOAT if served.quantization == "none" else _OTHER_ROUNDING) * _largest(proved)


def _largest(proved: ArrayLike) -> float:
    return max(1.0, float(np.abs(np.asarray(proved, np.float64)).max(initial=0.0)))
