"""The smallest or quickest file within a budget: composes compression, export and proof."""

from tfkit.search.budget import Budget, UnreachableBudgetError
from tfkit.search.judgement import TestJudgement
from tfkit.search.report import write_search_report
from tfkit.search.result import Candidate, LayerSensitivity, SearchResult
from tfkit.search.searching import search_within_budget
from tfkit.search.training import SearchTraining
from tfkit.search.variants import Variant

__all__ = [
    "Budget",
    "Candidate",
    "LayerSensitivity",
    "SearchResult",
    "SearchTraining",
    "TestJudgement",
    "UnreachableBudgetError",
    "Variant",
    "search_within_budget",
    "write_search_report",
]
