"""What a model is given in the place of a picture's raw 0..255 pixels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        """Pixel 0 becomes `low` and pixel 255 `high`."""
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
        """`(x - mean) / deviation`, where `x` is the pixel brought to `low`..`high`; one number or one a channel."""
        size = max(len(mean), len(deviation))
        means, deviations = (values * size if len(values) == 1 else values for values in (mean, deviation))
        scale = tuple((high - low) / 255 / one for one in deviations)
        offset = tuple((low - middle) / one for middle, one in zip(means, deviations, strict=True))
        return cls(scale, offset, blue_first)

    @property
    def is_raw(self) -> bool:
        """Whether the model takes the pixel as it is."""
        return not self.blue_first and set(self.scale) == {1.0} and set(self.offset) == {0.0}

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number that a pixel of any channel becomes."""
        at_white = [255 * scale + offset for scale, offset in zip(self.scale, self.offset, strict=True)]
        return min(*self.offset, *at_white), max(*self.offset, *at_white)

    @property
    def words(self) -> str:
        """What the model is given, in a few words: `0..1`."""
        blue = ", blue first" if self.blue_first else ""
        if self in (IMAGENET, CAFFE):
            return "standardised by ImageNet's mean" + (" and deviation" if self == IMAGENET else "") + blue
        if len(set(self.scale)) == len(set(self.offset)) == 1:
            return f"{self.offset[0]:.4g}..{255 * self.scale[0] + self.offset[0]:.4g}{blue}"
        return f"(pixel - {self._mean}) / {self._deviation}{blue}"

    @property
    def option(self) -> str:
        """How the command line says it: `--input-range 0 1`."""
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
