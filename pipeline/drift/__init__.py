"""What changed between two audits of a data set: marks, make-up, scores, traits, metrics and findings.

estimates    one comparison of means for all of them: patients are drawn, images in both audits are paired
marks, makeup, scores, metrics    what is compared
findings     findings that are new, gone, or have another status
words        the result in sentences
"""

from pipeline.drift.audits import Audit
from pipeline.drift.compare import compare_audits
from pipeline.drift.estimates import SHIFTED, TOO_FEW, UNSHIFTED
from pipeline.drift.marks import TEXT
from pipeline.drift.words import change_words, drift_words, row_title

__all__ = [
    "SHIFTED",
    "TEXT",
    "TOO_FEW",
    "UNSHIFTED",
    "Audit",
    "change_words",
    "compare_audits",
    "drift_words",
    "row_title",
]
