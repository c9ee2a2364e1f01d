"""Questions with their answers: tables, the tokeniser and the form of a conversation, and known texts to answer from."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
