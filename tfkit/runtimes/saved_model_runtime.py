"""Run a SavedModel in a process of its own, as a server does."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.artifacts import RAW, ModelSignature, PixelScaling, TensorSpec
from tfkit.errors import ModelError
from tfkit.runtimes.model_process import ModelProcess, absolute, join_bytes
from tfkit.runtimes.protocol import ModelInputs, Runtime, input_count, noun_of, only_array, some_inputs

# A request holds every image decoded at once, about 10 MB for a photo of a phone.
_BATCH = 32


class SavedModelRuntime(Runtime):
    """Runs a SavedModel that a fresh process has loaded.

    Args:
        path: The SavedModel's version folder (`saved_model/1`, with `saved_model.pb` in it).
        threads: CPU threads, None for TensorFlow's own choice.
        scaling: What its signature of numbers takes for raw pixels; None for the pixels themselves.

    Raises:
        ModelError: When the folder is no SavedModel, has no signature, cannot be loaded, or takes encoded images,
            which it scales itself, and a scaling was given.

    Example:
        >>> with SavedModelRuntime(Path("saved_model/1")) as runtime:
        ...     runtime.scores_from_encoded([Path("bee.jpg").read_bytes()]).shape
        (1, 2)
    """

    @takes_text
    def __init__(self, path: Path, *, threads: int | None = None, scaling: PixelScaling | None = None) -> None:
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"'{path}' is not a SavedModel: it holds no saved_model.pb", hint="name saved_model/1")
        self.name = "saved_model"
        self.threads = threads
        self.scaling = scaling or RAW
        self._path = path
        words = [absolute(path)] + ([] if threads is None else ["--threads", str(threads)])
        what = f"SavedModel '{path}'"
        self.process = ModelProcess("tfkit.runtimes.saved_model_worker", words, what=what, prefix=True)
        try:
            self._signatures = json.loads(str(self.process.receive()))
            if not self._signatures:
                raise ModelError(f"SavedModel '{path}' has no signature", hint="export it with tfkit export")
            self.signature = self._read_signature("serving_default")
            self._numbers_signature = self._signature_taking(numbers=True)
            self._encoded_signature = self._signature_taking(numbers=False)
            if self.takes_encoded and not self.scaling.is_raw:
                raise ModelError(
                    f"SavedModel '{path}' takes encoded images and scales them itself; got {self.scaling.option}",
                    hint="leave that out",
                )
            noun = noun_of(self.numbers_signature)
            one = "image of pixels" if noun == "image" or not self.numbers_signature.inputs else noun
            self.measures = f"round trip of one {one} to a process that holds the SavedModel"
        except BaseException:
            self.close()
            raise

    @property
    def numbers_signature(self) -> ModelSignature:
        """The tensors of the signature that takes pixels or token ids; no tensors when there is none."""
        if self._numbers_signature is None:
            return ModelSignature(inputs=(), outputs=())
        return self._read_signature(self._numbers_signature)

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts; see `Runtime.scores`.

        Raises:
            ModelError: When no signature takes pixels or token ids, or the model fails.
        """
        starts = range(0, max(input_count(inputs), 1), _BATCH)
        return np.concatenate([self._some_scores(some_inputs(inputs, slice(n, n + _BATCH))) for n in starts])

    def _some_scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        only = only_array(inputs)
        if only is None:
            assert isinstance(inputs, Mapping)
            names = json.dumps(list(inputs))
            return self._request(self._numbers_signature, "token ids", np.array(names), *inputs.values())
        given = only if self.scaling.is_raw else self.scaling.applied(only)
        return self._request(self._numbers_signature, "pixels", given)

    @property
    def takes_encoded(self) -> bool:
        """Whether a signature takes what a client sends: encoded images, or texts."""
        return self._encoded_signature is not None

    def scores_from_encoded(self, encoded: list[bytes]) -> NDArray[np.float32]:
        """Run the model on encoded images or texts, as a client of a server sends them.

        Args:
            encoded: n JPEG, PNG, ... files, or n texts in UTF-8.

        Returns:
            float32 (n, classes).

        Raises:
            ModelError: When no signature takes strings, or the model fails (an image is damaged).
        """
        starts = range(0, max(len(encoded), 1), _BATCH)
        batches = (join_bytes(encoded[start : start + _BATCH]) for start in starts)
        return np.concatenate([self._request(self._encoded_signature, "strings", *batch) for batch in batches])

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`."""
        one = some_inputs(inputs, slice(1))

        def run() -> None:
            self.scores(one)

        return run

    def close(self) -> None:
        """End the process."""
        self.process.close()

    def _request(self, signature: str | None, what: str, *arrays: NDArray[np.generic]) -> NDArray[np.float32]:
        if signature is None:
            raise ModelError(f"SavedModel '{self._path}' has no signature that takes {what}: {self._names()}")
        return cast("NDArray[np.float32]", self.process.ask(np.array(signature), *arrays))

    def _signature_taking(self, *, numbers: bool) -> str | None:
        names = sorted(self._signatures, key=lambda name: name not in ("predict", "serving_default"))
        for name in names:
            inputs = self._signatures[name]["inputs"]
            if all((kind != "string") == numbers for _, _, kind in inputs) and (numbers or len(inputs) == 1):
                return str(name)
        return None

    def _read_signature(self, name: str) -> ModelSignature:
        tensors = self._signatures[name] if name in self._signatures else next(iter(self._signatures.values()))
        return ModelSignature(inputs=_tensor_specs(tensors["inputs"]), outputs=_tensor_specs(tensors["outputs"]))

    def _names(self) -> str:
        return ", ".join(
            f"{name}({', '.join(f'{kind} {tensor}' for tensor, _, kind in tensors['inputs'])})"
            for name, tensors in self._signatures.items()
        )


def _tensor_specs(tensors: list[tuple[str, list[int | None], str]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=name, shape=tuple(shape), dtype=kind) for name, shape, kind in tensors)
