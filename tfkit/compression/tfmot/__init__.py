"""The tensorflow-model-optimization engine: a Keras 3 classifier rebuilt in tf-keras, where tfmot works.

tf-keras and tfmot are imported by the first call, never before.
"""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
