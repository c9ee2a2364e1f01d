"""The process that runs a SavedModel for `SavedModelRuntime`: loaded afresh, with none of the code that made it.

`python -m tfkit.runtimes.saved_model_worker FOLDER --threads N` reads requests from stdin and answers on stdout
until stdin ends; see `model_process` for the format. Keras cannot be imported in it, so that a SavedModel which needs
more than TensorFlow's own runtime fails here as it would in a server.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tfkit.runtimes.model_process import receive_arrays, send_arrays, serve_on_pipes, split_bytes

if TYPE_CHECKING:
    import tensorflow as tf


def serve(folder: str, *, threads: int | None, requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the SavedModel, send its signatures, then answer requests until they end.

    A request is an array with the signature's name and then its input: pixels; the contents and lengths of encoded
    images or texts; or the names of several inputs, and each of them. An answer is `ok` and the scores, or `error` and
    the message.

    Args:
        folder: The SavedModel's folder.
        threads: CPU threads, None for TensorFlow's own choice.
        requests: Where requests come from.
        answers: Where answers go.
    """
    import tensorflow as tf  # here, because `main` first shuts Keras out

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    load_text_operators(tf)
    try:
        model = tf.saved_model.load(folder)
        signatures = {name: _describe(function) for name, function in model.signatures.items()}
    except Exception as fault:  # whatever is wrong with the folder is the answer
        send_arrays(answers, np.array("error"), np.array(_message(fault)))
        return
    send_arrays(answers, np.array("ok"), np.array(json.dumps(signatures)))
    while True:
        try:
            name, *inputs = receive_arrays(requests)
        except EOFError:
            return
        try:
            send_arrays(answers, np.array("ok"), _run(model.signatures[str(name)], inputs))
        except Exception as fault:
            send_arrays(answers, np.array("error"), np.array(_message(fault)))


def load_text_operators(tensorflow: ModuleType) -> None:
    """TF Text's kernels, which servers have built in; its Python package would want Keras."""
    found = importlib.util.find_spec("tensorflow_text")
    for root in (found.submodule_search_locations or ()) if found else ():
        for library in sorted((Path(root) / "python" / "ops").glob("*.so")):
            tensorflow.load_op_library(str(library))


def _run(function: "tf.types.experimental.ConcreteFunction", inputs: list[NDArray[np.generic]]) -> NDArray[np.float32]:
    import tensorflow as tf

    specs = function.structured_input_signature[1]
    (only, spec), *others = specs.items()
    if others:
        names = json.loads(str(inputs[0]))
        given = {name: tf.cast(values, specs[name].dtype) for name, values in zip(names, inputs[1:], strict=True)}
    elif spec.dtype == tf.string:
        given = {only: tf.constant(split_bytes(*inputs))}
    else:
        given = {only: tf.cast(inputs[0], spec.dtype)}
    outputs = function(**given)
    scores: NDArray[np.float32] = outputs[_scores_name(function)].numpy().astype(np.float32)
    return scores


def _scores_name(function: "tf.types.experimental.ConcreteFunction") -> str:
    floats = [name for name, spec in function.structured_outputs.items() if spec.dtype.is_floating]
    if "scores" in floats:
        return "scores"
    if len(floats) != 1:
        raise ValueError(f"expected one float output or one named 'scores'; got {floats}")
    return str(floats[0])


def _describe(function: "tf.types.experimental.ConcreteFunction") -> dict[str, list[tuple[str, list[int | None], str]]]:
    def tensors(specs: dict[str, "tf.TensorSpec"]) -> list[tuple[str, list[int | None], str]]:
        return [
            (name, spec.shape.as_list() if spec.shape.rank is not None else [], spec.dtype.name)
            for name, spec in specs.items()
        ]

    return {
        "inputs": tensors(function.structured_input_signature[1]),
        "outputs": tensors(function.structured_outputs),
    }


def _message(fault: Exception) -> str:
    # TensorFlow wraps the sentence that matters in where the node was defined and the graph's call stack.
    lines = str(fault).partition("[[{{")[0].strip().splitlines() or [""]
    return (
        f"{type(fault).__name__}: {lines[-1] if lines[0].startswith('Graph execution error') else chr(10).join(lines)}"
    )


def main() -> None:
    """Serve on this process's own pipes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    # TensorFlow imports Keras when it can, which also is half of the seconds that this process takes to start.
    sys.modules["keras"] = None  # type: ignore[assignment]
    serve_on_pipes(
        lambda requests, answers: serve(options.folder, threads=options.threads, requests=requests, answers=answers)
    )


if __name__ == "__main__":
    main()
