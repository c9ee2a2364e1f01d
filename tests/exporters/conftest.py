"""A disk that is full, without being root: no file may grow beyond a limit."""

import contextlib
import resource

import pytest


@pytest.fixture
def limited_file_size():
    @contextlib.contextmanager
    def limit(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
