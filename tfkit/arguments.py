"""Arguments of public functions as notebooks write them: text for a path, and a choice that is none is told."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, Unpack, get_args, get_origin

from tfkit.errors import TfkitError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Class = TypeVar("_Class", bound=type)


def takes_text(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a caller write paths as text, and tell one who misspells a choice what there is to choose from.

    A misspelt choice would otherwise be taken for another one, in silence: type checkers tell it, notebooks have none.

    Args:
        function: Its annotations say which parameters are a `Path`, and which a `Literal` of several texts.

    Returns:
        The function, with the same signature. It raises a TfkitError for a text that is none of a parameter's choices.

    Example:
        >>> @takes_text
        ... def suffix(path: Path, *, case: Literal["kept", "lower"] = "kept") -> str:
        ...     return path.suffix if case == "kept" else path.suffix.lower()
        >>> suffix("ants.TFLITE", case="lower")
        '.tflite'
        >>> suffix("ants.TFLITE", case="small")
        Traceback (most recent call last):
        tfkit.errors.TfkitError: case must be 'kept' or 'lower'; got 'small'
    """
    signature = inspect.signature(function)
    names = tuple(signature.parameters)

    @functools.cache  # annotations may name what is imported only when the function is first called
    def texts() -> Mapping[str, "_Text"]:
        found: dict[str, _Text] = {}
        for parameter in signature.parameters.values():
            found |= _texts_of(parameter.name, parameter.annotation, getattr(function, "__globals__", {}))
        return found

    @functools.wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if any(isinstance(value, str) for value in (*args, *kwargs.values())):
            known = texts()
            taken = [_taken(known, name, value) for name, value in zip(names, args, strict=False)]
            named = {name: _taken(known, name, value) for name, value in kwargs.items()}
            return function(*taken, *args[len(taken) :], **named)  # type: ignore[arg-type]
        return function(*args, **kwargs)

    return called


def fields_take_text(cls: _Class) -> _Class:
    """`takes_text` for what a dataclass is made of.

    Example:
        >>> PruningSettings(method="magnitud")
        Traceback (most recent call last):
        tfkit.errors.TfkitError: method must be 'magnitude', 'n_of_m' or 'channels'; got 'magnitud'
    """
    cls.__init__ = takes_text(cls.__init__)  # type: ignore[misc]
    return cls


_Text = Literal["path"] | tuple[str, ...]  # what a text is taken for: a path, or one of several choices


def _taken(known: Mapping[str, _Text], name: str, value: Any) -> Any:
    meant = known.get(name)
    if meant is None or not isinstance(value, str):
        return value
    if meant == "path":
        return Path(value)
    if value not in meant:
        raise TfkitError(f"{name} must be {_listed(meant)}; got '{value}'")
    return value


def _listed(choices: tuple[str, ...]) -> str:
    quoted = [f"'{choice}'" for choice in choices]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else f"{quoted[0]} when it is a text"


def _texts_of(name: str, annotation: object, names: Mapping[str, Any]) -> dict[str, _Text]:
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, dict(names))
        except (NameError, AttributeError):  # names that only type checkers import
            return {}
    if get_origin(annotation) is Unpack:
        options = get_args(annotation)[0]
        module = vars(inspect.getmodule(options))
        found: dict[str, _Text] = {}
        for option, given in options.__annotations__.items():
            found |= _texts_of(option, getattr(given, "__forward_arg__", given), module)
        return found
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    if str in parts:
        return {}
    if Path in parts:
        return {name: "path"}
    choices = tuple(
        choice for part in parts if get_origin(part) is Literal for choice in get_args(part) if isinstance(choice, str)
    )
    return {name: choices} if choices else {}
