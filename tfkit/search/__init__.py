"""The smallest model within a budget: composes compression, export and proof."""

from tfkit.search.budget import Budget, UnreachableBudgetError
from tfkit.search.ladder import search_smallest
from tfkit.search.report import write_search_report
from tfkit.search.result import Candidate, LayerSensitivity, SearchResult
from tfkit.search.training import SearchTraining

__all__ = [
    "Budget",
    "Candidate",
    "LayerSensitivity",
    "SearchResult",
    "SearchTraining",
    "UnreachableBudgetError",
    "search_smallest",
    "write_search_report",
]
