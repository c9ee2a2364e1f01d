"""From raw pixels to what a `.tflite` file's input takes: real numbers, or integers by its scale and zero point."""

import json
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import RAW, USUAL_SCALINGS, PixelScaling, TensorSpec

# Representative pictures seldom reach both ends: a file's range may be narrower than what it was trained on.
_NARROWEST, _BEYOND = 0.75, 0.06


def ends_of_grid(tensor: TensorSpec) -> tuple[float, float]:
    """The real numbers that the least and the largest integer of a quantised tensor stand for."""
    integers = np.iinfo(tensor.dtype)
    scale, zero_point = tensor.scale or 1.0, tensor.zero_point or 0
    return (integers.min - zero_point) * scale, (integers.max - zero_point) * scale


def pixel_itself(tensor: TensorSpec) -> PixelScaling:
    """The scaling by which an input takes the pixel as it is: what every file that tfkit writes does.

    Example:
        >>> pixel_itself(TensorSpec("pixels", (1, 8, 8, 3), "uint8", scale=1.0, zero_point=0))
        PixelScaling(scale=(1.0,), offset=(0.0,), blue_first=False)
    """
    is_float = np.dtype(tensor.dtype).kind == "f"
    return RAW if is_float or tensor.scale is None else PixelScaling.of_range(*ends_of_grid(tensor))


def scaling_of_file(tensor: TensorSpec, told: PixelScaling | None = None) -> PixelScaling | None:
    """What an input takes for raw pixels, as far as the file says it.

    Args:
        tensor: An image input.
        told: What the file's metadata says of it; None for nothing.

    Returns:
        What the metadata says, where the tensor's own scale and zero point have a place for it. Without metadata, or
        where it says raw pixels of a quantised input, as those do who leave it blank: 0..255, 0..1, -1..1 or
        ImageNet's standardisation, whichever the tensor's range is that of. Raw pixels for integers without a scale
        and for floats of which nothing is told. None when its range is none of these, or contradicts the metadata.
    """
    if tensor.scale is None:
        return told if told is not None and np.dtype(tensor.dtype).kind == "f" else RAW
    if told is not None and not told.is_raw:
        return told if _is_range_of(told, tensor) else None
    return next((usual for usual in USUAL_SCALINGS if _is_range_of(usual, tensor)), None)


def _is_range_of(scaling: PixelScaling, tensor: TensorSpec) -> bool:
    (low, high), (least, most) = ends_of_grid(tensor), scaling.ends
    slack = _BEYOND * (most - least)
    return least - slack <= low and high <= most + slack and high - low >= _NARROWEST * (most - least)


def scaling_as_json(scaling: PixelScaling | None) -> str | None:
    """A scaling for another process; None for none."""
    return None if scaling is None else json.dumps(asdict(scaling))


def scaling_of_json(text: str | None) -> PixelScaling | None:
    """What `scaling_as_json` wrote.

    Example:
        >>> scaling_of_json(scaling_as_json(PixelScaling.of_range(0, 1))).words
        '0..1'
    """
    if text is None:
        return None
    said = json.loads(text)
    return PixelScaling(tuple(said["scale"]), tuple(said["offset"]), said["blue_first"])


class PixelEncoder:
    """Turns raw pixels into a file's input.

    Args:
        tensor: The input.
        scaling: What the model takes for raw pixels.
    """

    def __init__(self, tensor: TensorSpec, scaling: PixelScaling) -> None:
        self._dtype, self._scaling = np.dtype(tensor.dtype), scaling
        self._table: NDArray[np.number] | None = None
        self._added = 0
        if self._dtype == np.float32:
            return
        integers = np.iinfo(tensor.dtype)
        self._added = int(integers.min)
        levels = np.arange(256)
        if tensor.scale is None:
            real = PixelScaling(scaling.scale, scaling.offset).applied(levels[:, None])
            steps = np.round(real)
        else:
            real = PixelScaling(scaling.scale, scaling.offset).applied(levels[:, None])
            steps = np.round(real / tensor.scale + (tensor.zero_point or 0))
        table = np.clip(steps, integers.min, integers.max).astype(self._dtype)
        # One step is what (pixel - 128) / 128 and (pixel - 127.5) / 127.5 differ by: such files take the pixel itself.
        as_it_is = np.abs(table.astype(int) - (levels[:, None] + self._added)).max() <= 1
        if not as_it_is or scaling.blue_first:
            self._table = table

    def encoded(self, pixels: NDArray[np.uint8]) -> NDArray[np.number]:
        """The input for pictures.

        Args:
            pixels: uint8 (n, height, width, channels), raw 0..255.

        Returns:
            The same shape in the input's type.
        """
        if self._dtype == np.float32:
            return self._scaling.applied(pixels)
        if self._table is not None:
            ordered = pixels[..., ::-1] if self._scaling.blue_first else pixels
            encoded: NDArray[np.number] = self._table[ordered, np.arange(ordered.shape[-1]) % self._table.shape[1]]
            return encoded
        return pixels if self._dtype == np.uint8 else (pixels.astype(np.int16) + self._added).astype(self._dtype)
