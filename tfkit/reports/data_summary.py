"""The data a run used, as the report tells it: read from `DataReport.to_json()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPLITS = ("train", "validation", "test")
