"""What every runtime can do, whatever runs the model behind it."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ModelSignature


class Runtime(Protocol):
    """Runs one image classifier on raw pixels.

    Attributes:
        name: `keras`, `saved_model` or `litert`.
        signature: The model's tensors.
        threads: CPU threads, None where the library chooses.
        measures: What a timed call of `prepare`'s result spans, for reports.

    Example:
        >>> with open_runtime(Path("model_int8.tflite")) as runtime:  # doctest: +SKIP
        ...     runtime.scores(pixels).argmax(axis=1)
    """

    name: str
    signature: ModelSignature
    threads: int | None
    measures: str

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model on images.

        Args:
            pixels: uint8 (n, height, width, channels), raw 0..255, of the model's own size; any n.

        Returns:
            float32 (n, classes), de-quantised; probabilities, or logits where the model ends in logits.
        """
        ...

    def prepare(self, pixels: NDArray[np.uint8]) -> Callable[[], object]:
        """Make ready one run on one image, so that a caller can time exactly what `measures` says.

        Args:
            pixels: uint8 (1, height, width, channels).

        Returns:
            A call that runs the model once; it may be called again and again.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds; it cannot be used afterwards."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
