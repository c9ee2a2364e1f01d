"""Run a `.tflite` file of unknown origin with LiteRT in a process of its own.

LiteRT trusts the indices and shapes that a file holds: a damaged file, or one made to do so, ends the process that
opens it by SIGSEGV, or keeps it busy for ever.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.artifacts import PixelScaling
from tfkit.runtimes.flatbuffer import read_signature
from tfkit.runtimes.model_process import ModelProcess, absolute
from tfkit.runtimes.pixel_encoding import scaling_as_json, scaling_of_json
from tfkit.runtimes.protocol import ModelInputs, Runtime, input_count, some_inputs

_BATCH = 32


class IsolatedLiteRTRuntime(Runtime):
    """`LiteRTRuntime` in a process of its own: the same answers, and errors in words whatever the file does.

    Args:
        path: The file.
        threads: CPU threads.
        scaling: As for `LiteRTRuntime`.
        seconds: How long opening it, or 32 images or texts, may take before it is given up.

    Raises:
        ModelError: As `LiteRTRuntime`, and when the process crashes or takes too long.

    Example:
        >>> with IsolatedLiteRTRuntime(Path("model_int8.tflite")) as runtime:
        ...     runtime.scores(pixels).shape
        (40, 2)
    """

    @takes_text
    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        scaling: PixelScaling | None = None,
        seconds: float = 120.0,
    ) -> None:
        self.name = "litert"
        self.threads = threads
        self.signature = read_signature(path)
        words = [absolute(path), str(path), "--threads", str(threads)]
        if scaling is not None:
            words.append(f"--scaling={scaling_as_json(scaling)}")
        self.process = ModelProcess("tfkit.runtimes.litert_worker", words, what=f"'{path}'", seconds=seconds)
        try:
            said = json.loads(str(self.process.receive()))
            self.measures = said["measures"]
            self._scaling = scaling_of_json(said["scaling"])
        except BaseException:
            self.close()
            raise

    @property
    def scaling(self) -> PixelScaling | None:
        """What the model takes for raw pixels; see `LiteRTRuntime`."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: PixelScaling) -> None:
        self.process.ask(np.array("scaling"), np.array(scaling_as_json(scaling)))
        self._scaling = scaling

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts; see `Runtime.scores`."""
        starts = range(0, max(input_count(inputs), 1), _BATCH)
        return np.concatenate([self._ask("scores", some_inputs(inputs, slice(n, n + _BATCH))) for n in starts])

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`. The process times its own runs."""
        self._ask("prepare", some_inputs(inputs, slice(1)))
        return lambda: float(self.process.ask(np.array("run")))

    def close(self) -> None:
        """End the process."""
        self.process.close()

    def _ask(self, request: str, inputs: ModelInputs) -> NDArray[np.float32]:
        if isinstance(inputs, Mapping):
            names = json.dumps(list(inputs))
            answer = self.process.ask(np.array(request), np.array(names), *inputs.values())
        else:
            answer = self.process.ask(np.array(request), np.array("null"), inputs)
        return cast("NDArray[np.float32]", answer)
