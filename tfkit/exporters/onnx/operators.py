"""What each operator of a `.tflite` file is in ONNX.

The left sides are LiteRT's (https://ai.google.dev/edge/litert/models/ops_compatibility, and the kernels in
https://github.com/google-ai-edge/LiteRT/tree/main/tflite/kernels), the right ones ONNX's
(https://onnx.ai/onnx/operators). A file's batch is one: what stands first in a shape is left open here.
"""

from tfkit.exporters.onnx.axes import ALONG_AXES
from tfkit.exporters.onnx.elementwise import ELEMENTWISE
from tfkit.exporters.onnx.shapes import SHAPES
from tfkit.exporters.onnx.translation import Rule
from tfkit.exporters.onnx.weighted import WEIGHTED

RULES: dict[str, Rule] = {**WEIGHTED, **ELEMENTWISE, **ALONG_AXES, **SHAPES}
