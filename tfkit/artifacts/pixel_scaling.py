"""What a model is given in the place of a picture's raw 0..255 pixels."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ChannelOrder = Literal["rgb", "bgr"]
# Mean and standard deviation of ImageNet's RGB pixels in 0..1: torchvision's constants, and Keras's "torch" mode
# (https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py).
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Mean of ImageNet's pixels in 0..255 in the order blue, green, red: Keras's "caffe" mode.
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class PixelScaling:
    """`scale * pixel + offset`, channel by channel: what a model takes for a raw pixel of 0..255.

    Attributes:
        scale: One number for all channels, or one a channel, in the order in which the model takes them.
        offset: Likewise.
        blue_first: Whether the model takes blue, green, red.

    Example:
        >>> PixelScaling.of_range(-1, 1).words
        '-1..1'
    """

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    blue_first: bool = False

    @classmethod
    def of_range(cls, low: float, high: float, *, blue_first: bool = False) -> Self:
        """Pixel 0 becomes `low` and pixel 255 `high`.

        Example:
            >>> PixelScaling.of_range(0, 1).words
            '0..1'
        """
        return cls(((high - low) / 255,), (float(low),), blue_first)

    @classmethod
    def standardised(
        cls,
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        *,
        low: float = 0.0,
        high: float = 255.0,
        blue_first: bool = False,
    ) -> Self:
        """`(x - mean) / deviation`, where `x` is the pixel brought to `low`..`high`; one number or one a channel.

        Example:
            >>> PixelScaling.standardised((127.5,), (127.5,)).ends
            (-1.0, 1.0)
        """
        size = max(len(mean), len(deviation))
        means, deviations = (values * size if len(values) == 1 else values for values in (mean, deviation))
        scale = tuple((high - low) / 255 / one for one in deviations)
        offset = tuple((low - middle) / one for middle, one in zip(means, deviations, strict=True))
        return cls(scale, offset, blue_first)

    @property
    def is_raw(self) -> bool:
        """Whether the model takes the pixel as it is.

        Example:
            >>> PixelScaling.of_range(0, 255).is_raw, PixelScaling.of_range(0, 1).is_raw
            (True, False)
        """
        return not self.blue_first and set(self.scale) == {1.0} and set(self.offset) == {0.0}

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number that a pixel of any channel becomes.

        Example:
            >>> PixelScaling.of_range(-1, 1).ends
            (-1.0, 1.0)
        """
        at_white = [255 * scale + offset for scale, offset in zip(self.scale, self.offset, strict=True)]
        return min(*self.offset, *at_white), max(*self.offset, *at_white)

    @property
    def words(self) -> str:
        """What the model is given, in a few words: `0..1`.

        Example:
            >>> PixelScaling.standardised((127.5,), (127.5,)).words
            '-1..1'
        """
        blue = ", blue first" if self.blue_first else ""
        if self in (IMAGENET, CAFFE):
            return "standardised by ImageNet's mean" + (" and deviation" if self == IMAGENET else "") + blue
        if len(set(self.scale)) == len(set(self.offset)) == 1:
            return f"{self.offset[0]:.4g}..{255 * self.scale[0] + self.offset[0]:.4g}{blue}"
        return f"(pixel - {self._mean}) / {self._deviation}{blue}"

    @property
    def option(self) -> str:
        """How the command line says it: `--input-range 0 1`.

        Example:
            >>> PixelScaling.of_range(0, 1).option
            '--input-range 0 1'
        """
        blue = " --input-channels bgr" if self.blue_first else ""
        if len(set(self.scale)) == len(set(self.offset)) == 1:
            return f"--input-range {self.offset[0]:.6g} {255 * self.scale[0] + self.offset[0]:.6g}{blue}"
        return f"--input-mean {self._mean} --input-std {self._deviation}{blue}"

    @property
    def _mean(self) -> str:
        return ",".join(f"{-offset / scale:.6g}" for scale, offset in zip(self.scale, self.offset, strict=True))

    @property
    def _deviation(self) -> str:
        if len(set(self.scale)) == 1:
            return f"{1 / self.scale[0]:.6g}"
        return ",".join(f"{1 / scale:.6g}" for scale in self.scale)

    def applied(self, pixels: "NDArray[Any]") -> "NDArray[Any]":
        """What the model is given for pictures.

        Args:
            pixels: (n, height, width, channels), raw 0..255, RGB or grey.

        Returns:
            float32 of the same shape.

        Example:
            >>> PixelScaling.of_range(0, 1).applied(np.full((1, 1, 1, 3), 255, np.uint8)).tolist()
            [[[[1.0, 1.0, 1.0]]]]
        """
        import numpy as np  # here: `tfkit --help` has no need of it

        ordered = pixels[..., ::-1] if self.blue_first else pixels
        return ordered.astype(np.float32) * np.asarray(self.scale, np.float32) + np.asarray(self.offset, np.float32)


RAW = PixelScaling()
UNIT = PixelScaling.of_range(0, 1)
SYMMETRIC = PixelScaling.of_range(-1, 1)
IMAGENET = PixelScaling.standardised(_IMAGENET_MEAN, _IMAGENET_DEVIATION, low=0, high=1)
CAFFE = PixelScaling.standardised(_CAFFE_MEAN, (1.0,), blue_first=True)
USUAL_SCALINGS = (RAW, UNIT, SYMMETRIC, IMAGENET)


def checked_scaling(
    given: tuple[float, float] | None,
    means: tuple[float, ...],
    deviations: tuple[float, ...],
    channels: ChannelOrder,
    *,
    called: str,
) -> PixelScaling | None:
    """The scaling that a recipe or a command line asks for.

    Args:
        given: What pixels 0 and 255 become; None for 0 and 255.
        means: What is taken from them then: nothing, one number, or one a channel.
        deviations: What they are divided by then.
        channels: The order of the channels.
        called: What comes before `range`, `mean` and `std` where the user says it.

    Raises:
        ConfigError: Tells every fault of them.

    Example:
        >>> checked_scaling((0.0, 1.0), (), (), "rgb", called="--input-").words
        '0..1'
    """
    faults: list[str] = []
    low, high = given or (0.0, 255.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        faults.append(f"{called}range is two numbers, the smaller one first: 0 1; got {low:g} {high:g}")
    if deviations and min(deviations) <= 0:
        faults.append(f"{called}std must be more than 0; got {min(deviations):g}")
    if {len(means), len(deviations)} not in ({0}, {0, 1}, {0, 3}, {1}, {3}, {1, 3}):
        faults.append(f"{called}mean and {called}std are one number, or three")
    if not faults and given is None and deviations and max(deviations) < 1 and max(means, default=0.0) <= 1:
        faults.append(
            f"{called}std {', '.join(f'{one:g}' for one in deviations)} is of pixels in 0..1, not in 0..255: "
            f"add {called}range 0 1, or multiply by 255"
        )
    if faults:
        raise ConfigError("\n".join(faults), hint="mean and std are of raw pixels, or of those in the range said")
    blue_first = channels == "bgr"
    if means or deviations:
        return PixelScaling.standardised(
            means or (0.0,), deviations or (1.0,), low=low, high=high, blue_first=blue_first
        )
    return PixelScaling.of_range(low, high, blue_first=blue_first) if given or blue_first else None
