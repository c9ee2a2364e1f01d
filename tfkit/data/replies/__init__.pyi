from .conversation import Conversation, learn_conversation, read_conversation
from .examples import ReplyExamples
from .known import Found, KnownAnswers, read_known_answers
from .loading import ReplySource, load_reply_examples, load_reply_splits

__all__ = [
    "Conversation",
    "Found",
    "KnownAnswers",
    "ReplyExamples",
    "ReplySource",
    "learn_conversation",
    "load_reply_examples",
    "load_reply_splits",
    "read_conversation",
    "read_known_answers",
]
