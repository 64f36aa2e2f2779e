"""What people decided about findings."""

from pipeline.review.decisions import DECISIONS, Decision, decisions_of, record_decision

__all__ = ["DECISIONS", "Decision", "decisions_of", "record_decision"]
