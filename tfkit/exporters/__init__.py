"""Write trained Keras models as SavedModel and TFLite files, and refuse what was not asked for."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
