from .budget import Budget, UnreachableBudgetError
from .report import write_search_report
from .result import Candidate, LayerSensitivity, SearchResult, TestJudgement
from .searching import search_within_budget
from .table import candidate_table
from .training import SearchTraining
from .variants import Variant

__all__ = [
    "Budget",
    "Candidate",
    "LayerSensitivity",
    "SearchResult",
    "SearchTraining",
    "TestJudgement",
    "UnreachableBudgetError",
    "Variant",
    "candidate_table",
    "search_within_budget",
    "write_search_report",
]
