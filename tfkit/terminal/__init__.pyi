from .display import Display, PlainConsole
from .interruption import InterruptedRunError, ctrl_c_remembered, kept_work_noted
from .quiet import chatter_dropped, import_tensorflow, tensorflow_started
from .tables import plain_table

__all__ = [
    "Display",
    "InterruptedRunError",
    "PlainConsole",
    "chatter_dropped",
    "ctrl_c_remembered",
    "import_tensorflow",
    "kept_work_noted",
    "plain_table",
    "tensorflow_started",
]
