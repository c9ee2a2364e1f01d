"""Labelled images: reading, checking, splitting, preprocessing (shared with serving), augmentation, batches.

What is named here is loaded when it is first asked for: half of it starts TensorFlow, which a command that shows one
picture to a `.tflite` file can do without.
"""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
