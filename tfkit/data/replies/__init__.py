"""Questions with their answers: tables, a tokeniser and what stands around a question, and known answers."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
