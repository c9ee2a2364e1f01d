"""The images a model takes, and how a picture of any size becomes one."""

from dataclasses import dataclass
from typing import ClassVar, Literal

ResizeMode = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class ImageSpec:
    """Size, channels and resize rule of a model's input; pixels are always raw 0..255.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        channels: 1 for grey, 3 for RGB.
        resize: How another shape is fitted: `crop` keeps the aspect ratio and cuts the longer side at its
            centre, `pad` keeps it and adds black borders, `stretch` ignores it.

    Example:
        >>> ImageSpec(height=224, width=224).shape
        (224, 224, 3)
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # where a manifest is read

    height: int
    width: int
    channels: int = 3
    resize: ResizeMode = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels).

        Example:
            >>> ImageSpec(height=32, width=48, channels=1).shape
            (32, 48, 1)
        """
        return (self.height, self.width, self.channels)
