"""What is sent of pictures and texts, and what is read from the answers: the client decodes, the server takes tensors.

It needs what requirements.txt lists.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the bundle stays as it was written

import numpy as np
from decoding import Decoder

DECODER = Decoder(Path(__file__).parent)
NAMES = json.loads("""@{ quoted(graph_names) }@""")  # what the file calls its tensors
KINDS = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32"}


def tensors_of(contents):
    """Name, type, shape and bytes of each tensor of some encoded pictures or texts."""
    tensors = DECODER.tensors({DECODER.sent: np.array(contents, dtype=object)})
    return [
        (NAMES[name], KINDS[str(values.dtype)], values.shape, np.ascontiguousarray(values).tobytes())
        for name, values in tensors.items()
    ]


def answers_of(outputs, count):
    """Scores and labels by name, one dictionary a row."""
    (values,), told = outputs.values(), DECODER.said["output"]
    scores = np.array(values, np.float32).reshape(count, -1)
    if told["scale"] is not None:
        scores = (scores - told["zero_point"]) * np.float32(told["scale"])
    found = DECODER.answers(scores)
    return [{name: values[row].tolist() for name, values in found.items()} for row in range(count)]


def broken(content):
    """What is wrong, and tensors that hold it."""
    (name, _, shape, _), *others = tensors_of([content])
    yield "another type", [(name, "FP64", shape, bytes(8 * int(np.prod(shape)))), *others]
