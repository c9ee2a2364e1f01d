"""What the user named: a run's folder, an exported file or a Keras model, what it takes and what it gives."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
