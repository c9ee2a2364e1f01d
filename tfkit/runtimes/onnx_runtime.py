"""Run an ONNX file with onnxruntime, as a server does: any number of examples at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.artifacts import ModelSignature
from tfkit.artifacts.box_grid import joined
from tfkit.errors import ModelError
from tfkit.runtimes.model_process import DAMAGED
from tfkit.runtimes.protocol import Feed, ModelInputs, Runtime, input_count, noun_of, some_inputs

_BATCH = 32


class OnnxRuntime(Runtime):
    """Runs an ONNX file that tfkit wrote.

    Args:
        path: The file.
        signature: What its manifest says of it.
        threads: CPU threads of one run.

    Raises:
        ModelError: When onnxruntime is not installed, or refuses the file.

    Example:
        >>> with OnnxRuntime(artifact.path, artifact.signature) as runtime:  # doctest: +SKIP
        ...     runtime.scores(pixels).shape
        (40, 2)
    """

    @takes_text
    def __init__(self, path: Path, signature: ModelSignature, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ModelError(
                f"'{path}' is run by onnxruntime, which is not installed", hint="pip install 'tfkit[onnx]'"
            ) from None
        self.name = "onnxruntime"
        self.threads = threads
        self.signature = signature
        self.measures = f"onnxruntime run, one {noun_of(signature)}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as fault:  # classes of its own, with no common base but this one
            raise ModelError(f"onnxruntime cannot run '{path}': {fault}", hint=DAMAGED) from None
        self._taken = {tensor.name: tensor for tensor in signature.inputs}

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts; see `Runtime.scores`."""
        feed = self._checked(inputs)
        starts = range(0, max(input_count(feed), 1), _BATCH)
        parts = [cast("Feed", some_inputs(feed, slice(start, start + _BATCH))) for start in starts]
        return np.concatenate([self._answers(part) for part in parts])

    def _answers(self, feed: Feed) -> NDArray[np.float32]:
        given = zip(self._session.get_outputs(), self._session.run(None, dict(feed)), strict=True)
        return joined({output.name: np.asarray(values, np.float32) for output, values in given})

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`."""
        feed = dict(self._checked(inputs))
        session = self._session

        def run() -> None:
            session.run(None, feed)

        return run

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def _checked(self, inputs: ModelInputs) -> Feed:
        """The arrays by name, in the types that the file takes.

        Raises:
            ModelError: When they are not what the model takes.
        """
        given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(self._taken, inputs)
        wrong = [
            name
            for name, tensor in self._taken.items()
            if name not in given or tuple(given[name].shape[1:]) != tensor.shape[1:]
        ]
        if wrong or (not isinstance(inputs, Mapping) and len(self._taken) != 1):
            wanted = ", ".join(f"{name} (n, {', '.join(map(str, one.shape[1:]))})" for name, one in self._taken.items())
            got = {name: array.shape for name, array in given.items()} if isinstance(inputs, Mapping) else inputs.shape
            raise ModelError(f"the model takes {wanted}; got {got}")
        return {name: np.asarray(given[name]).astype(one.dtype, copy=False) for name, one in self._taken.items()}


def of_nobody(path: Path) -> ModelError:
    """What is said of an ONNX file that tfkit did not write, or that was moved away from its manifest."""
    return ModelError(
        f"'{path}' is an ONNX file that no manifest beside it names",
        hint="name the run or the artifacts folder that it was exported to",
    )
