"""What every runtime can do, whatever runs the model behind it."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ModelSignature
from tfkit.errors import TfkitError


@contextlib.contextmanager
def held_native_output() -> Iterator[None]:
    """Hold back what is written to stderr, by C++ too, and show it only when the body fails unexpectedly.

    The converter, the interpreter and its delegates log to file descriptor 2 (`INFO: Created TensorFlow Lite
    XNNPACK delegate`, `W0000 ...`), which no Python logging setting reaches; the quantiser draws progress bars
    on `sys.stderr` and warns. None of it tells a user anything while all goes well, when the body raises a
    `TfkitError`, which says itself what is wrong, or when the user stops it. The descriptor belongs to the whole
    process: what another thread writes to stderr meanwhile is held back too.

    Yields:
        Nothing.

    Example:
        >>> import os
        >>> with held_native_output():
        ...     _ = os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.")
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held, contextlib.ExitStack() as restore:
        restore.callback(os.close, terminal)
        os.dup2(held.fileno(), 2)
        restore.callback(os.dup2, terminal, 2)
        # Never closed, and of the descriptor itself: a logger that is made meanwhile keeps this stream for good, and
        # goes on writing to wherever the descriptor leads by then.
        python_stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        restore.enter_context(contextlib.redirect_stderr(python_stderr))
        restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            yield
        except (TfkitError, KeyboardInterrupt):
            raise
        except BaseException:
            python_stderr.flush()
            held.seek(0)
            os.write(terminal, held.read())
            raise


# What feeds a model: arrays by the names of its inputs, such as `pixels` uint8 (n, height, width, channels), raw
# 0..255; or `token_ids` and `padding_mask`, int32 (n, length) each.
Feed: TypeAlias = Mapping[str, NDArray[np.generic]]
# The array of an only input may come bare.
ModelInputs: TypeAlias = NDArray[np.generic] | Feed

# An input that MediaPipe's text tasks ask for and no operator reads.
SEGMENT_IDS = "segment_ids"
# What a language model is fed with: ids, and 1 for each token of an answer.
TOKEN_IDS, ANSWER_MASK = "token_ids", "answer_mask"


def only_array(inputs: ModelInputs) -> NDArray[np.generic] | None:
    """The array of an only input, bare or by its name; None of several.

    Example:
        >>> only_array({"pixels": pixels[:2]}).shape
        (2, 16, 16, 1)
    """
    if not isinstance(inputs, Mapping):
        return inputs
    return next(iter(inputs.values())) if len(inputs) == 1 else None


def noun_of(signature: ModelSignature) -> str:
    """What one example of a model's inputs is called: `image`, `text`, `user`, `question`, else `example`.

    Example:
        >>> noun_of(ModelSignature((TensorSpec("pixels", (1, 8, 8, 3), "uint8"),), ()))
        'image'
    """
    if len(signature.inputs) == 1 and len(signature.inputs[0].shape) == 4:
        return "image"
    if [tensor.name for tensor in signature.inputs] == ["item_ids"]:
        return "user"
    if ANSWER_MASK in {tensor.name for tensor in signature.inputs}:
        return "question"
    ids = all(len(tensor.shape) == 2 and tensor.dtype == "int32" for tensor in signature.inputs)
    return "text" if ids else "example"


def input_count(inputs: ModelInputs) -> int:
    """How many examples there are.

    Example:
        >>> input_count(pixels), input_count({"token_ids": np.zeros((3, 8), np.int32)})
        (40, 3)
    """
    return len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)


def some_inputs(inputs: ModelInputs, chosen: slice) -> ModelInputs:
    """Some of them, as they came.

    Example:
        >>> some_inputs(pixels, slice(0, 4)).shape
        (4, 16, 16, 1)
    """
    return {name: array[chosen] for name, array in inputs.items()} if isinstance(inputs, Mapping) else inputs[chosen]


class Runtime(Protocol):
    """Runs one classifier on raw pixels, on token ids, or on whatever its inputs are called.

    Attributes:
        name: `keras`, `saved_model` or `litert`.
        signature: The model's tensors.
        threads: CPU threads, None where the library chooses.
        measures: What a timed call of `prepare`'s result spans, for reports.

    Example:
        >>> with open_runtime(Path("model_int8.tflite")) as runtime:
        ...     runtime.scores(pixels).argmax(axis=1).shape
        (40,)
    """

    name: str
    signature: ModelSignature
    threads: int | None
    measures: str

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts.

        Args:
            inputs: Arrays by name: `pixels` uint8 (n, height, width, channels), raw 0..255, of the model's own size;
                or `token_ids` and `padding_mask`, int32 (n, length); any n. An only array may come bare.

        Returns:
            float32 (n, classes), or (n, height, width, classes) of a segmenter, de-quantised; probabilities, or logits
            where the model ends in logits.
        """
        ...

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text, so that a caller can time exactly what `measures` says.

        Args:
            inputs: As for `scores`, with n = 1.

        Returns:
            A call that runs the model once; it may be called again and again. It gives the seconds that the run took
            where the runtime measures them nearer to the model than its caller can, else None.
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
