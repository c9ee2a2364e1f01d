"""Run a `.tflite` file with LiteRT, as a device does: one image or text at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from tfkit.artifacts import TensorSpec
from tfkit.errors import ModelError
from tfkit.runtimes.flatbuffer import read_operators, read_signature, scale_that_is_no_number
from tfkit.runtimes.native_output import held_native_output
from tfkit.runtimes.protocol import ModelInputs, Runtime, input_count

_INPUT_TYPES = ("uint8", "int8", "float32")


class LiteRTRuntime(Runtime):
    """Runs a `.tflite` classifier in this process: of images on raw pixels, of texts on token ids.

    A damaged file can end the process; see `IsolatedLiteRTRuntime`.

    A uint8 input takes the pixel and an int8 input takes pixel - 128, whatever its scale says: that is how
    files quantised with raw, [0, 1] and [-1, 1] preprocessing alike are fed. A float input takes the raw
    0..255, or what `input_range` says.

    Args:
        path: The file.
        threads: CPU threads.
        input_range: For float inputs of outside files: the values that pixels 0 and 255 become, such as
            `(-1.0, 1.0)`. None: raw pixels, as every file of tfkit takes them.

    Raises:
        ModelError: When the file cannot be read or run, or takes neither one image nor token ids.

    Example:
        >>> with LiteRTRuntime(Path("model_int8.tflite")) as runtime:  # doctest: +SKIP
        ...     runtime.scores(pixels).argmax(axis=1)
    """

    def __init__(self, path: Path, *, threads: int = 1, input_range: tuple[float, float] | None = None) -> None:
        self.name = "litert"
        self.threads = threads
        self.signature = read_signature(path)
        self._tokens = all(len(tensor.shape) == 2 and tensor.dtype == "int32" for tensor in self.signature.inputs)
        self.measures = f"LiteRT invoke, one {'text' if self._tokens else 'image'}"
        self._input = self.signature.inputs[0] if self._tokens else _only_image(self.signature.inputs, path)
        self._output = _only_scores(self.signature.outputs, path)
        self._input_range = input_range
        if (tensor := scale_that_is_no_number(path)) is not None:
            raise ModelError(
                f"'{path}' cannot be run: the scale of its tensor '{tensor}' is no number",
                hint="the model that it was made from has diverged; train and export it again",
            )
        self._interpreter = _open_interpreter(path, threads=threads)
        self._indices = _input_indices(self._interpreter, by_name=self._tokens)
        self._output_index = self._interpreter.get_output_details()[0]["index"]

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts; see `Runtime.scores`."""
        self._check_shape(inputs)
        rows = np.empty((input_count(inputs), int(self._output.shape[-1] or 0)), np.float32)
        for place, row in enumerate(rows):
            self._feed(inputs, place)
            self._interpreter.invoke()
            row[:] = self._decode(self._interpreter.get_tensor(self._output_index)).reshape(-1)
        return rows

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`. Only `invoke` lies in the call."""
        self._check_shape(inputs)
        self._feed(inputs, 0)
        invoke: Callable[[], None] = self._interpreter.invoke
        return invoke

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None

    def _feed(self, inputs: ModelInputs, place: int) -> None:
        if isinstance(inputs, dict):
            for name, index in self._indices.items():
                self._interpreter.set_tensor(index, inputs[name][place : place + 1])
        else:
            self._interpreter.set_tensor(self._indices[""], self._encode(inputs[place : place + 1]))

    def _check_shape(self, inputs: ModelInputs) -> None:
        expected = self._input.shape[1:]
        if isinstance(inputs, dict) != self._tokens:
            came = "token ids" if isinstance(inputs, dict) else "images"
            raise ModelError(f"the model takes {'token ids' if self._tokens else 'images'}; got {came}")
        if isinstance(inputs, dict):
            for name in self._indices:
                if name not in inputs or inputs[name].shape[1:] != expected:
                    got = {key: values.shape for key, values in inputs.items()}
                    raise ModelError(
                        f"the model takes {', '.join(self._indices)} of shape (n, {expected[0]}); got {got}"
                    )
            return
        pixels = inputs
        if pixels.ndim != 4 or any(
            want not in (None, got) for want, got in zip(expected, pixels.shape[1:], strict=True)
        ):
            raise ModelError(f"the model takes images of shape {expected}; got an array of shape {pixels.shape}")

    def _encode(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        if self._input.dtype == "uint8":
            return pixels
        if self._input.dtype == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        low, high = self._input_range or (0.0, 255.0)
        return pixels.astype(np.float32) * np.float32((high - low) / 255.0) + np.float32(low)

    def _decode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        if self._output.scale is None or self._output.zero_point is None:
            return values.astype(np.float32)
        return (values.astype(np.float32) - self._output.zero_point) * np.float32(self._output.scale)


def _input_indices(interpreter: Any, *, by_name: bool) -> dict[str, int]:
    """The tensor of each input, by the signature's names; one without a name for an image."""
    if by_name:
        if not interpreter.get_signature_list():
            raise ModelError(
                "the file has no signature, which would say which input takes the ids and which the mask",
                hint="convert it again from a SavedModel whose signature takes token_ids and padding_mask",
            )
        details = interpreter.get_signature_runner().get_input_details()
        return {name: int(detail["index"]) for name, detail in details.items()}
    return {"": int(interpreter.get_input_details()[0]["index"])}


def _open_interpreter(path: Path, *, threads: int) -> Any:
    custom = sorted({operator.name for operator in read_operators(path) if operator.custom})
    with held_native_output():
        try:
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            details = interpreter.get_input_details()[0]
            if details["shape_signature"][0] == -1:
                interpreter.resize_tensor_input(details["index"], [1, *details["shape"][1:]])
            interpreter.allocate_tensors()
            for tensor in interpreter.get_input_details():  # memory as it was found holds ids of no token,
                # and some files divide by a mask's sum.
                interpreter.set_tensor(tensor["index"], np.ones(tensor["shape"], tensor["dtype"]))
            # The CPU delegate is made, and speaks, at the first run.
            interpreter.invoke()
        except (RuntimeError, ValueError) as fault:
            because = f"it holds custom operators: {', '.join(custom)}" if custom else str(fault)
            message = f"LiteRT cannot run '{path}': {because}"
            raise ModelError(message, hint="export it with builtin operators only") from None
    return interpreter


def _only_image(tensors: tuple[TensorSpec, ...], path: Path) -> TensorSpec:
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or tensors[0].dtype not in _INPUT_TYPES:
        raise ModelError(
            f"'{path}' takes {_describe(tensors)}; expected one image tensor (1, height, width, channels) "
            f"of {', '.join(_INPUT_TYPES)}"
        )
    return tensors[0]


def _only_scores(tensors: tuple[TensorSpec, ...], path: Path) -> TensorSpec:
    if len(tensors) != 1 or tensors[0].shape[-1] is None:
        raise ModelError(f"'{path}' gives {_describe(tensors)}; expected one tensor of class scores")
    return tensors[0]


def _describe(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors) or "no tensor"
