"""Dense layers."""

from dataclasses import replace

from tfkit.compression.kinds.kernels import KERNEL, compressed_as
from tfkit.layers import CompressedDense

DENSE = replace(KERNEL, covers=compressed_as(CompressedDense))
KINDS = (DENSE,)
