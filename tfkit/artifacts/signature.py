"""What a model file takes and gives: names, shapes, dtypes and quantisation of its tensors."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class TensorSpec:
    """One input or output tensor.

    Attributes:
        name: The tensor's name in the file's signature.
        shape: Its shape; None where any size is taken.
        dtype: NumPy's name of its type (`uint8`, `float32`, `string`).
        scale: Real value of one quantisation step, None when the tensor is not quantised.
        zero_point: The integer that stands for 0.0, None when the tensor is not quantised.

    Example:
        >>> TensorSpec("pixels", (1, 224, 224, 3), "uint8", scale=1 / 255, zero_point=0).dtype
        'uint8'
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # where a manifest is read

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class ModelSignature:
    """The inputs and outputs of one model file.

    Example:
        >>> pixels, scores = TensorSpec("pixels", (1, 8, 8, 3), "uint8"), TensorSpec("scores", (1, 2), "uint8")
        >>> ModelSignature((pixels,), (scores,)).outputs[0].shape
        (1, 2)
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
