"""tfkit: fine-tune, compress, export and prove Keras models.

Importing this package does no work: TensorFlow and Keras are imported by the rooms that need them.

Example:
    >>> import tfkit
    >>> report = tfkit.run("digits", run={"name": "first"})  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkit.running import check, run

__version__ = "0.1.0"
__all__ = ["check", "run"]

if not TYPE_CHECKING:  # checkers of types know the names from above

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        import tfkit.running

        return getattr(tfkit.running, name)
