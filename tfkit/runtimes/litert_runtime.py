"""Run a `.tflite` file with LiteRT, as a device does: one image or text at a time."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.artifacts import RAW, PixelScaling, TensorSpec
from tfkit.artifacts.box_grid import LOCATION, SCORE, joined
from tfkit.cores import usable_cores
from tfkit.errors import ModelError
from tfkit.runtimes.file_metadata import metadata_scaling
from tfkit.runtimes.flatbuffer import (
    read_last_function,
    read_operators,
    read_signature,
    scale_that_is_no_number,
    takes_raw_pixels,
)
from tfkit.runtimes.pixel_encoding import PixelEncoder, ends_of_grid, pixel_itself, scaling_of_file
from tfkit.runtimes.protocol import (
    SEGMENT_IDS,
    Feed,
    ModelInputs,
    Runtime,
    held_native_output,
    input_count,
    noun_of,
    only_array,
)

_RUNS_WORTH_IT, _MOST_INTERPRETERS = 16, 8  # runs that another interpreter is opened for, and how many there are
_PLACES = 3  # dimensions of what a detector gives
_INPUT_TYPES = ("uint8", "int8", "float32")


class LiteRTRuntime(Runtime):
    """Runs a `.tflite` classifier in this process: of images on raw pixels, of texts on token ids.

    A damaged file can end the process; see `IsolatedLiteRTRuntime`.

    A float input is given `scaling` of the pixels; an 8-bit input is given that by its own scale and zero point, which
    for a file of tfkit is the pixel itself. Without `scaling` the file's TFLite metadata is obeyed, then the usual
    range that its scale fits. One sigmoid unit is two classes: scores of 1 - y and y.

    Args:
        path: The file.
        threads: CPU threads of one run; `scores` has runs on as many cores as there are.
        scaling: What the model takes for raw pixels. None: what the file says (`scaling_of_file`); raw pixels where it
            says nothing, as a float input does.
        own: Whether tfkit wrote the file: its inputs are then fed by their names, whatever they hold.

    Attributes:
        scaling: The same; None where an 8-bit input has a scale that is no usual one's, and nobody said another. It may
            be set anew.

    Raises:
        ModelError: When the file cannot be read or run, or takes neither one image nor token ids.

    Example:
        >>> with LiteRTRuntime(Path("model_int8.tflite")) as runtime:
        ...     runtime.scores(pixels).shape
        (40, 2)
    """

    @takes_text
    def __init__(self, path: Path, *, threads: int = 1, scaling: PixelScaling | None = None, own: bool = False) -> None:
        self.name = "litert"
        self.threads = threads
        self.signature = read_signature(path)
        noun = noun_of(self.signature)
        self._named = noun in ("text", "user") or (own and noun != "image")
        self.measures = f"LiteRT invoke, one {noun}"
        self._input = self.signature.inputs[0] if self._named else _only_image(self.signature.inputs, path)
        self._holds = {"text": "token ids", "user": "item ids"}.get(noun, "arrays by name")
        self._taken = {tensor.name: tensor for tensor in self.signature.inputs}
        self._outputs = _scores(self.signature.outputs, path)
        self._path = path
        self._scaling: PixelScaling | None = None
        if not self._named:
            self.scaling = scaling or _own_scaling(self._input, path)
        if (tensor := scale_that_is_no_number(path)) is not None:
            raise ModelError(
                f"'{path}' cannot be run: the scale of its tensor '{tensor}' is no number",
                hint="the model that it was made from has diverged; train and export it again",
            )
        self._interpreter = _open_interpreter(path, threads=threads)
        self._further: list[Interpreter] = []
        self._indices = _input_indices(self._interpreter, by_name=self._named)
        given = tuple(self._outputs.values())
        sizes = (*(int(size or 0) for size in given[0].shape[1:-1]), sum(int(one.shape[-1] or 0) for one in given))
        # A row of scores for each pixel or place; some classifiers give a map of one pixel.
        self._of_one = sizes if math.prod(sizes[:-1]) > 1 else sizes[-1:]
        self._is_one_sigmoid = sizes[-1] == 1 and read_last_function(path) == "sigmoid"
        details = self._interpreter.get_output_details()
        self._output_indices = {name: int(one["index"]) for name, one in zip(self._outputs, details, strict=True)}

    @property
    def scaling(self) -> PixelScaling | None:
        """What the model takes for raw pixels."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: PixelScaling | None) -> None:
        self._scaling = scaling
        self._encoder = PixelEncoder(self._input, scaling or RAW)

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts, one at a time on each core; see `Runtime.scores`.

        Raises:
            ModelError: When nobody knows what an 8-bit input takes for a pixel.
        """
        feed = self._checked(inputs)
        if not self._named and self._scaling is None:
            raise _unknown_scaling(self._input, self._path)
        rows = np.empty((input_count(inputs), *self._of_one), np.float32)
        running = self._interpreters(len(rows))
        shares = np.array_split(np.arange(len(rows)), len(running))
        with ThreadPoolExecutor(len(running)) as pool:
            for _ in pool.map(lambda one, places: self._run(one, feed, places, rows), running, shares):
                pass
        return np.concatenate([1 - rows, rows], axis=-1) if self._is_one_sigmoid else rows

    def encoded(self, pixels: NDArray[np.uint8]) -> NDArray[np.number]:
        """What the file's input holds for pictures, uint8 (n, height, width, channels): numbers of its own type.

        Raises:
            ModelError: When nobody knows what an 8-bit input takes for a pixel.
        """
        if self._scaling is None:
            raise _unknown_scaling(self._input, self._path)
        return self._encoder.encoded(pixels)

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`. Only `invoke` lies in the call."""
        self._give(self._interpreter, self._checked(inputs), 0)
        invoke: Callable[[], None] = self._interpreter.invoke
        return invoke

    def close(self) -> None:
        """Free the interpreters."""
        self._interpreter, self._further = None, []

    def _interpreters(self, count: int) -> list[Interpreter]:
        """As many as are worth it for so many runs; the further ones, which cost memory, are made when first needed."""
        wanted = max(1, min(usable_cores() // self.threads, count // _RUNS_WORTH_IT, _MOST_INTERPRETERS))
        while len(self._further) < wanted - 1:
            self._further.append(_open_interpreter(self._path, threads=self.threads))
            _input_indices(self._further[-1], by_name=self._named)  # sets what is the same in each run
        return [self._interpreter, *self._further[: wanted - 1]]

    def _run(self, interpreter: Interpreter, feed: Feed, places: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        for place in places:
            self._give(interpreter, feed, place)
            interpreter.invoke()
            given = {
                name: _decoded(interpreter.get_tensor(index), self._outputs[name])
                for name, index in self._output_indices.items()
            }
            rows[place] = joined(given).reshape(rows.shape[1:])

    def _give(self, interpreter: Interpreter, feed: Feed, place: int) -> None:
        for name, index in self._indices.items():
            values = feed[name][place : place + 1]
            if self._named:
                interpreter.set_tensor(index, _encoded(values, self._taken[name]))
            else:
                interpreter.set_tensor(index, self._encoder.encoded(cast("NDArray[np.uint8]", values)))

    def _checked(self, inputs: ModelInputs) -> Feed:
        """The arrays by the names in `_indices`.

        Raises:
            ModelError: When they are not what the model takes.
        """
        only = only_array(inputs)
        if not self._named:
            if only is None:
                raise ModelError("the model takes images; got token ids")
            self._check_pixels(only)
            return dict.fromkeys(self._indices, only)
        if not isinstance(inputs, Mapping) and len(self._indices) == 1:
            inputs = dict.fromkeys(self._indices, inputs)
        if not isinstance(inputs, Mapping):
            raise ModelError(f"the model takes {self._holds}; got images")
        if any(name not in inputs or inputs[name].shape[1:] != self._taken[name].shape[1:] for name in self._indices):
            sizes = dict.fromkeys(", ".join(map(str, self._taken[name].shape[1:])) for name in self._indices)
            told = f"{', '.join(self._indices)} of shape {', '.join(f'(n, {size})' for size in sizes)}"
            got = {name: array.shape for name, array in inputs.items()}
            raise ModelError(f"the model takes {told}; got {got}")
        return inputs

    def _check_pixels(self, pixels: NDArray[np.generic]) -> None:
        expected = self._input.shape[1:]
        if pixels.ndim != 4 or any(
            want not in (None, got) for want, got in zip(expected, pixels.shape[1:], strict=True)
        ):
            raise ModelError(f"the model takes images of shape {expected}; got an array of shape {pixels.shape}")


def _decoded(values: NDArray[np.number], tensor: TensorSpec) -> NDArray[np.float32]:
    if tensor.scale is None or tensor.zero_point is None:
        return values.astype(np.float32)
    return (values.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)


def _encoded(values: NDArray[np.generic], tensor: TensorSpec) -> NDArray[np.generic]:
    """The input of a tensor for numbers: as they are, or by its scale and zero point."""
    if tensor.dtype == "float32":
        return values.astype(np.float32, copy=False)
    if tensor.scale is None:
        return values
    integers = np.iinfo(tensor.dtype)
    steps = np.round(values.astype(np.float32) / tensor.scale) + (tensor.zero_point or 0)
    encoded: NDArray[np.generic] = np.clip(steps, integers.min, integers.max).astype(tensor.dtype)
    return encoded


def _input_indices(interpreter: Interpreter, *, by_name: bool) -> dict[str, int]:
    """The tensor of each input, by the signature's names; one without a name for an image."""
    if by_name:
        if not interpreter.get_signature_list():
            raise ModelError(
                "the file has no signature, which would say which input takes the ids and which the mask",
                hint="convert it again from a SavedModel whose signature takes token_ids and padding_mask",
            )
        details = interpreter.get_signature_runner().get_input_details()
        for name, detail in details.items():
            if name == SEGMENT_IDS:  # of one text they are zeros
                interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        return {name: int(detail["index"]) for name, detail in details.items() if name != SEGMENT_IDS}
    return {"": int(interpreter.get_input_details()[0]["index"])}


def _open_interpreter(path: Path, *, threads: int) -> Interpreter:
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


def _own_scaling(tensor: TensorSpec, path: Path) -> PixelScaling | None:
    return pixel_itself(tensor) if takes_raw_pixels(path) else scaling_of_file(tensor, metadata_scaling(path))


def _unknown_scaling(tensor: TensorSpec, path: Path) -> ModelError:
    low, high = RAW.ends if tensor.scale is None else ends_of_grid(tensor)
    told = metadata_scaling(path)
    because = (
        f"while its metadata says {told.words}" if told is not None and not told.is_raw else "no usual range of pixels"
    )
    return ModelError(
        f"'{path}' takes {tensor.dtype} of scale {tensor.scale:.6g} and zero point {tensor.zero_point}, which is "
        f"{low:.4g}..{high:.4g}: {because}, so nobody can know what it takes for one",
        hint="say how it was trained: --input-range LOW HIGH, or --input-mean and --input-std; "
        f"--input-range {low:.6g} {high:.6g} gives it the pixel itself",
    )


def _only_image(tensors: tuple[TensorSpec, ...], path: Path) -> TensorSpec:
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or tensors[0].dtype not in _INPUT_TYPES:
        raise ModelError(
            f"'{path}' takes {_describe(tensors)}; expected one image tensor (1, height, width, channels) "
            f"of {', '.join(_INPUT_TYPES)}"
        )
    return tensors[0]


def _scores(tensors: tuple[TensorSpec, ...], path: Path) -> dict[str, TensorSpec]:
    """The only output, or a detector's two, by name."""
    named = {tensor.name: tensor for tensor in tensors}
    places = {tensor.shape[1] for tensor in tensors if len(tensor.shape) == _PLACES}
    of_boxes = set(named) == {SCORE, LOCATION} and len(places) == 1
    if not (of_boxes or len(tensors) == 1) or any(tensor.shape[-1] is None for tensor in tensors):
        raise ModelError(f"'{path}' gives {_describe(tensors)}; expected one tensor of class scores")
    return named


def _describe(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"'{tensor.name}' {tensor.dtype} {tensor.shape}" for tensor in tensors) or "no tensor"
