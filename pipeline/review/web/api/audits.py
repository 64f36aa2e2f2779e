"""Audits, their findings and their settings."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from pipeline.review.backend import Job
from pipeline.review.store import gallery
from pipeline.review.store.conflict import Missing
from pipeline.review.store.readers import settings
from pipeline.review.store.tables import Run
from pipeline.review.values import Actor, AuditFacts, AuditView, Facet, Filters, FindingId, FindingView, SettingsRequest
from pipeline.review.web.access.dependencies import Here
from pipeline.review.web.access.log import address_of, note
from pipeline.review.web.access.strangers import CSRF_HEADER
from pipeline.review.web.api.failures import failures
from pipeline.review.web.api.subjects import Admin, AuditRun, Place, Viewer

router = APIRouter(tags=["audits"])

State = Literal["awaiting review", "reviewed", "repairing", "complete", "failed"]


def audit_views(place: Here) -> list[AuditView]:
    """All audits of the workspace, the newest first. The database may know others: of runs that were removed since, or
    that lie in another workspace; there is nothing to see of them here.
    """
    with place.store.reading() as session:
        facts = gallery.audits(session)
    return [_view(place, each) for each in facts if (place.workspace / "runs" / each.run).is_dir()]


def audit_view(place: Here, run: str) -> AuditView:
    """One audit.

    Raises:
        Missing: the review does not know it.
    """
    with place.store.reading() as session:
        facts = gallery.audit(session, run)
    return _view(place, facts)


@router.get("/me", summary="Who is signed in")
def me(actor: Viewer, request: Request, response: Response) -> Actor:
    """The name and the role of whoever asks; the header X-CSRF-Token is what requests that change something repeat."""
    response.headers[CSRF_HEADER] = request.state.csrf
    return actor


@router.get("/audits", summary="All audits, the newest first")
def audits(place: Place, _: Viewer) -> list[AuditView]:
    """Every audit of the workspace, with counts."""
    return audit_views(place)


@router.get("/audits/{run}", summary="One audit", responses=failures(404))
def audit(run: AuditRun, place: Place) -> AuditView:
    """Its classes, counts, settings and state."""
    return audit_view(place, run)


@router.patch("/audits/{run}", summary="Change how an audit is read", responses=failures(404))
def change_settings(run: AuditRun, asked: SettingsRequest, request: Request, place: Place, actor: Admin) -> AuditView:
    """One or two readers; blind or not. Decisions stay, and which of them are in force follows anew. Admins only."""
    with place.store.writing() as session:
        changed = settings(session, run, asked)
        if changed:
            note(session, actor.name, "settings", run=run, address=address_of(request), **changed)
    return audit_view(place, run)


@router.get("/audits/{run}/findings", summary="The findings, ranked", responses=failures(404))
def findings(run: AuditRun, place: Place, actor: Viewer) -> list[FindingView]:
    """Each with its evidence (`payload`, as in findings.json) and what the readers made of it."""
    with place.store.reading() as session:
        return gallery.findings(session, run, actor)


@router.get("/audits/{run}/findings/{finding}", summary="One finding", responses=failures(404))
def finding(
    run: AuditRun, finding: Annotated[FindingId, Path(description="e.g. F01")], place: Place, actor: Viewer
) -> FindingView:
    """As in the list of findings."""
    with place.store.reading() as session:
        found = next((each for each in gallery.findings(session, run, actor) if each.id == finding), None)
    if found is None:
        raise Missing(f"The audit {run!r} has no finding {finding!r}. See the list of its findings.")
    return found


@router.get("/audits/{run}/facets", summary="Values of the filters", responses=failures(404))
def facets(run: AuditRun, filters: Annotated[Filters, Query()], place: Place) -> dict[str, list[Facet]]:
    """For each filter its values, and how many images have them among those that fit all other filters; in a blind
    audit those that tell class or source are counted in all of it.
    """
    with place.store.reading() as session:
        return gallery.facets(session, run, filters, hidden=session.get_one(Run, run).blind)


def _view(place: Here, facts: AuditFacts) -> AuditView:
    folder = place.workspace / "runs" / facts.run
    report = (folder / "report.html").exists()
    repaired = (folder / "comparison.json").exists()
    state = _state(place.backend.job(folder), repaired=repaired, left=facts.findings_open + facts.open)
    return AuditView.model_validate({**facts.model_dump(), "state": state, "report": report})


def _state(job: Job, *, repaired: bool, left: int) -> State:
    """What comes next: a repair's own state, else whether anything is left to decide."""
    if job.state in ("waiting", "running"):
        return "repairing"
    if job.state == "failed":
        return "failed"
    if job.state == "complete" or repaired:
        return "complete"
    return "awaiting review" if left else "reviewed"
