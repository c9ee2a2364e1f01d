"""HDF5 files of unknown origin, read once in a process of its own before anything here opens them.

The HDF5 library trusts what a file says of itself: with one damaged byte it reads for ever (a global heap whose object
has no size) or ends the process, and Python can stop neither. `python -m tfkit.foreign_hdf5 FILE` is that process.
"""

import contextlib
import io
import math
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.files import is_inflated, refuse_irregular

if TYPE_CHECKING:
    import h5py

_SECONDS = 2  # of processor time, beside what Python's start took: a busy or slow machine makes nothing fail
_BYTES_A_SECOND = 20 << 20


def hdf5_fault(path: Path) -> str | None:
    """Why HDF5 must not read a file in this process.

    Objects that cannot be read are passed over: whoever needs them will say so.

    Args:
        path: An `.h5` file, or a `.keras` archive that holds one.

    Returns:
        The reason, or None when all of it was read, or it is no HDF5 file at all.

    Raises:
        OSError: When it is not a regular file.

    Example:
        >>> hdf5_fault(Path("model.h5"))  # doctest: +SKIP
        'HDF5 reads it without end'
    """
    refuse_irregular(path)
    words = [sys.executable, "-m", "tfkit.foreign_hdf5", str(path.resolve())]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout.decode(errors="replace").strip() or None
    if done.returncode == -signal.SIGXCPU:
        return "HDF5 reads it without end"
    return f"the process that read it with HDF5 ended with status {done.returncode}"


def _read_all(path: Path) -> str | None:
    for source in _sources(path):
        with contextlib.suppress(Exception):  # it is no HDF5 file, or its root cannot be read
            reason = _read_objects(source)
            if reason is not None:
                return reason
    return None


def _sources(path: Path) -> Iterator[Path | io.BytesIO]:
    if not zipfile.is_zipfile(path):
        yield path
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".h5"):
                yield io.BytesIO(archive.read(name))


def _read_objects(source: Path | io.BytesIO) -> str | None:
    """Read every attribute and dataset; why the file is refused, or None."""
    import h5py

    with h5py.File(source) as file:
        waiting, seen = [file], set()
        while waiting:
            found = waiting.pop()
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            for name in _names(found.attrs):
                with contextlib.suppress(Exception):
                    found.attrs[name]
            if isinstance(found, h5py.Dataset):
                if found.external or found.is_virtual:
                    return f"its '{found.name}' lies in another file"
                if is_inflated(found.nbytes, found.id.get_storage_size()):
                    return f"its '{found.name}' would inflate to {found.nbytes / 1e9:.1f} GB"
                with contextlib.suppress(Exception):
                    found[()]
            elif isinstance(found, h5py.Group):
                for name in _names(found):
                    with contextlib.suppress(Exception):
                        link = found.get(name, getlink=True)
                        if isinstance(link, h5py.ExternalLink):
                            return f"its '{name}' lies in another file"
                        if isinstance(link, h5py.HardLink):
                            waiting.append(found[name])
    return None


def _names(holder: "h5py.Group | h5py.AttributeManager") -> list[str]:
    try:
        return list(holder)
    except Exception:  # whatever HDF5 says of a damaged list
        return []


def main() -> None:
    """Read the file that the command line names, and print why it is refused."""
    import h5py  # noqa: F401  - its start is not the file's doing

    path = Path(sys.argv[1])
    started = math.ceil(time.process_time())
    seconds = started + _SECONDS + path.stat().st_size // _BYTES_A_SECOND
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    sys.stdout.write(_read_all(path) or "")


if __name__ == "__main__":
    main()
