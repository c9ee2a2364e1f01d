"""The terminal: stages and their bars, libraries kept quiet, Ctrl-C remembered."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
