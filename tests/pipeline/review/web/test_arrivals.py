"""New audits enter the review, also where the database was away for a while."""

from __future__ import annotations

import pytest

from pipeline.errors import IntegrityError, StorageError
from pipeline.review.store import Store
from pipeline.review.web import arrivals
from pipeline.review.web.arrivals import Arrivals
from tests.pipeline.review.study import Study


@pytest.mark.parametrize(("error", "again"), [(StorageError("locked"), True), (IntegrityError("broken"), False)])
def test_an_audit_that_could_not_be_stored_is_tried_again_and_a_broken_one_is_not(
    store: Store, review_workspace: Study, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    def fail(*_: object) -> bool:
        raise error

    waiting = Arrivals(store, review_workspace.workspace)
    monkeypatch.setattr(arrivals, "register", fail)
    with pytest.raises(type(error)):
        waiting.admit(review_workspace.run)
    assert waiting.waiting() == ([review_workspace.run] if again else [])
