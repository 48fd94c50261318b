"""Multinomial naive Bayes that can forget: the model is counts, and counts can be subtracted.

Source: Manning, Raghavan, Schütze (2008), Introduction to Information Retrieval, ch. 13; deletion by subtraction, Cao
and Yang (2015), "Towards making systems forget with machine unlearning".
"""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidParameter
from expunge.exact import learners
from expunge.exact._learner import Learner
from expunge.exact._rows import Positions, Rows


@learners.add
class MultinomialNB(ClassifierMixin, Learner):
    """Naive Bayes over counts of words or events.

    Guaranteed: counts are integers, so after `forget` they have the same bits as a fit without the records. A class
    whose last record leaves is gone from the state. Counts must be whole numbers below 2^53; for weights such as tf-idf
    use another learner.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(self, *, alpha: float = 1.0, salt: bytes | None = None) -> None:
        self.alpha, self.salt = alpha, salt
