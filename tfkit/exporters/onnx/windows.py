"""Windows that move over an image."""

from tfkit.exporters.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import Translation

SAME = 0  # schema.Padding
HEIGHT, WIDTH = 1, 2  # axes of an image in a `.tflite` file


def pads(
    job: Translation,
    operator: FileOperator,
    image: int,
    size: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int] = (1, 1),
) -> list[int]:
    """What stands around an image: before height and width, then behind them."""
    if operator.options.padding != SAME:
        return [0, 0, 0, 0]
    before, after = [], []
    for axis, window, stride, dilation in zip((HEIGHT, WIDTH), size, strides, dilations, strict=True):
        length = job.tensor(image).shape[axis]
        wanted = (-(-length // stride) - 1) * stride + (window - 1) * dilation + 1
        around = max(wanted - length, 0)
        before.append(around // 2)
        after.append(around - around // 2)
    return [*before, *after]
