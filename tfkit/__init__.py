"""tfkit: fine-tune, compress, export and prove Keras models.

Importing this package does no work: TensorFlow and Keras are imported by the rooms that need them.
"""

__version__ = "0.1.0"
