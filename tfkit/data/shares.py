"""Which examples of every batch one process of several is given: these alone must it read."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """An equal part of every batch; the first examples of a batch that cannot be divided come twice.

    Attributes:
        part: Which part, from 0.
        parts: Into how many a batch is divided.
        devices: How many devices work on all parts together; each part is for as many.

    Example:
        >>> Share(part=1, parts=2, devices=2).rows(tf.constant(5)).numpy()
        array([3, 4, 0], dtype=int32)
    """

    part: int = 0
    parts: int = 1
    devices: int = 1

    def rows(self, count: tf.Tensor) -> tf.Tensor:
        """The places in a batch of `count` examples, int32 (n,).

        Example:
            >>> Share(part=0, parts=2, devices=2).rows(tf.constant(4)).numpy()
            array([0, 1], dtype=int32)
        """
        each = self._each(count)
        return tf.range(self.part * each, (self.part + 1) * each) % count

    def holds(self, row: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Whether a place is among the `rows` of a batch of `count` examples; bool scalar.

        Example:
            >>> bool(Share(part=1, parts=2, devices=2).holds(tf.constant(0), tf.constant(5)))
            True
        """
        each = self._each(count)
        return (row - self.part * each) % count < each

    def _each(self, count: tf.Tensor) -> tf.Tensor:
        return -(-count // self.devices) * self.devices // self.parts
