"""Layers of the user's own: registered from a Python file or module, and named when a model file needs them."""

import importlib
import importlib.util
import inspect
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import h5py
import keras

from tfkit.errors import ModelError

_BUILT_IN = ("keras", "keras_hub", "tfkit", "tf_keras", "builtins", "tensorflow")


def register_custom_objects(module: str | None) -> tuple[str, ...]:
    """Run a Python file or import a module, so that models with the layers defined in it can be loaded.

    Layers registered with `keras.saving.register_keras_serializable` are known under their registered names; other
    subclasses of `keras.layers.Layer` that it defines under their class names. It is Python code, and is run: name
    only what you trust.

    Args:
        module: The path of a `.py` file, or the dotted name of an importable module; None registers nothing.

    Returns:
        The names of the layers it defines.

    Raises:
        ModelError: When there is no such file or module, it fails, or it defines no layer.

    Example:
        >>> register_custom_objects("layers/scale.py")  # doctest: +SKIP
        ('Scale',)
    """
    if module is None:
        return ()
    loaded = _imported(module)
    own = {
        name: value
        for name, value in vars(loaded).items()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer) and value.__module__ == loaded.__name__
    }
    if not own:
        raise ModelError(
            f"custom objects '{module}' define no layer",
            hint="name the Python file, or the module, with the classes of your keras.layers.Layer",
        )
    for name, value in own.items():
        if keras.saving.get_registered_name(value) == name:  # not registered by itself
            keras.saving.get_custom_objects()[name] = value
    return tuple(own)


def _imported(module: str) -> ModuleType:
    is_file = module.endswith(".py") or "/" in module
    if is_file and not Path(module).is_file():
        raise ModelError(f"there is no file '{module}' of custom objects", hint="name a Python file, or a module")
    name = f"tfkit_custom_{Path(module).stem}" if is_file else module
    try:
        if not is_file:
            if str(Path.cwd()) not in sys.path:
                sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
            return importlib.import_module(module)
        if name in sys.modules and getattr(sys.modules[name], "__file__", "") == str(Path(module).resolve()):
            return sys.modules[name]
        specification = importlib.util.spec_from_file_location(name, Path(module).resolve())
        if specification is None or specification.loader is None:
            raise ModelError(f"'{module}' is no Python file", hint="name a file that ends in .py")
        loaded = importlib.util.module_from_spec(specification)
        sys.modules[name] = loaded
        specification.loader.exec_module(loaded)
    except ModelError:
        raise
    except BaseException as fault:  # code that anyone wrote: it may even call sys.exit
        sys.modules.pop(name, None)
        if isinstance(fault, KeyboardInterrupt):
            raise
        reason = (str(fault).strip() or "no reason given").splitlines()[0][:300]
        raise ModelError(
            f"custom objects '{module}' cannot be imported: {type(fault).__name__}: {reason}",
            hint="name a Python file, or a module that Python finds from here",
        ) from fault
    return loaded


def unknown_layers(file: Path) -> tuple[str, ...]:
    """The layers of a model file whose classes nothing has registered.

    Args:
        file: A `.keras` or `.h5` file of Keras 3.

    Returns:
        In words, such as `'scale' (class Scale of module layers)`; none when the file cannot be read.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                config = json.loads(archive.read("config.json"))
        else:
            with h5py.File(file) as stored:
                config = json.loads(stored.attrs["model_config"])
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return ()
    return tuple(dict.fromkeys(_unknown(config)))


def _unknown(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _unknown(item)]
    if not isinstance(node, dict):
        return []
    found = [name for value in node.values() for name in _unknown(value)]
    kind, settings = node.get("class_name"), node.get("config")
    module = str(node.get("module") or "")
    own = module.split(".")[0] not in _BUILT_IN if node.get("module") is not None else bool(node.get("registered_name"))
    if isinstance(kind, str) and isinstance(settings, dict) and own:
        known = (node.get("registered_name") or kind, kind)
        if all(keras.saving.get_registered_object(name) is None for name in known) and not hasattr(keras.layers, kind):
            told = f" of module {module}" if module else ""
            found.append(f"'{settings.get('name', kind)}' (class {kind}{told})")
    return found
