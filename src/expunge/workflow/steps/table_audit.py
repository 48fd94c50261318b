"""Attack a model of tables: the rows that left, on the old version, the new one, and a fit with a fresh salt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expunge.core import Fact, Guarantee, Record
from expunge.core.errors import InvalidParameter, RecipeMismatch, UnknownName
from expunge.ledger import ModelVersion
from expunge.verify.classifiers import ClassifierAudit, audit_classifier
from expunge.workflow.inputs.recipe import Recipe
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.learner import feature_rows, fitted, load_learner, recipe_of

RETAIN_ROWS = 2000


def audit_table(
    project: Project,
    before: ModelVersion,
    after: ModelVersion,
    facts: Sequence[Fact],
    retained: Sequence[Record],
    done: Mapping[str, Any],
    replay: bool | None,
) -> ClassifierAudit | None:
    """None where there are no classes to ask about, or no recipe to fit a control by and to make rows with."""
    new = load_learner(project, after)
    recipe = _recipe(after)
    if not hasattr(new, "classes_") or recipe is None:
        return None
    gone = [Record(f.id, f.subject, f.question, f.answer, f.value) for f in facts]
    # Together, so that a recipe which looks at its records makes the same columns of both.
    made, labels = (recipe.rows or feature_rows)([*gone, *retained[:RETAIN_ROWS]])
    X, y, n = np.asarray(made), np.asarray(labels), len(gone)
    if X.ndim != 2 or X.shape[1] != new.n_features_in_:
        return None
    control = fitted(recipe, list(retained), project.ledger.keys.secret("salt-control"))
    return audit_classifier(
        original=load_learner(project, before),
        unlearned=new,
        control=control,
        forget=(X[:n], y[:n]),
        retain=(X[n:], y[n:]),
        subjects=[record.subject for record in gone],
        guarantee=Guarantee(done["guarantee"]),
        replay=replay,
        duplicates=done["duplicates"],
    )


def _recipe(version: ModelVersion) -> Recipe | None:
    """None where the recipe is not at hand as it was."""
    try:
        return recipe_of(version)
    except (RecipeMismatch, UnknownName, InvalidParameter):
        return None
