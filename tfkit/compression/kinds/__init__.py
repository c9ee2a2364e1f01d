"""One module for each kind of layer: what it becomes in quantisation-aware training, and in the integer file."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
