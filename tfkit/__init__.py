"""tfkit: fine-tune, compress, export and prove Keras models.

Importing this package does no work: TensorFlow and Keras are imported by the rooms that need them.

Example:
    >>> import tfkit
    >>> report = tfkit.run("digits", run={"name": "first"})  # doctest: +SKIP
    >>> tfkit.predict("runs/first", "seven.png").best(top=1)  # doctest: +SKIP
    [[('7', 0.998)]]
"""

from typing import TYPE_CHECKING, Any

from tfkit.version import __version__

if TYPE_CHECKING:
    from tfkit.operations import drift, export, label_queue, monitor, optimize, predict, tune_file, verify
    from tfkit.running import check, run
    from tfkit.tuning import tune

__all__ = [
    "__version__", "check", "drift", "export", "label_queue", "monitor",
    "optimize", "predict", "run", "tune", "tune_file", "verify",
]  # fmt: skip

if not TYPE_CHECKING:  # checkers of types know the names from above

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from tfkit import operations, running, tuning

        room = {"check": running, "run": running, "tune": tuning}.get(name, operations)
        return getattr(room, name)
