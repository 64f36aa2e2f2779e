"""The pages. Each is a template over what the store says; what people do on them goes through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from sqlalchemy import select

from pipeline.artifacts import read_json
from pipeline.review.store import gallery
from pipeline.review.store.conflict import Missing
from pipeline.review.store.history import record, records
from pipeline.review.store.readers import conflicts, kappa
from pipeline.review.store.tables import Decision, Finding
from pipeline.review.values import Actor, FindingId, FindingView
from pipeline.review.web.access.dependencies import Here
from pipeline.review.web.access.log import lines
from pipeline.review.web.api.agreement import SEED
from pipeline.review.web.api.audits import audit_view, audit_views
from pipeline.review.web.api.subjects import Admin, AuditImage, AuditRun, Place, Viewer
from pipeline.review.web.cards import Card, card, pictures, tables
from pipeline.review.web.filter_fields import filter_fields, filter_words
from pipeline.review.web.next_step import next_step
from pipeline.review.web.rendering import render
from pipeline.types import REGION_KINDS

pages_router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CONFLICTS = 100
"""Disagreements on one page."""
ENTRIES = 200
"""Lines of the log on one page."""
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""The report holds its own styles and pictures; it runs nothing, sends nothing and knows no cookie."""

Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]


@pages_router.get("/")
def home(request: Request, place: Place, _: Viewer) -> Response:
    """All audits, and what to do next with each."""
    entries = [{"view": view, "next": next_step(view)} for view in audit_views(place)]
    return render(request, "home.html.j2", audits=entries)


@pages_router.get("/audits/{run}")
def audit(request: Request, run: AuditRun, place: Place, actor: Viewer) -> Response:
    """The findings of an audit, ranked, with their evidence and the buttons that decide them."""
    view = audit_view(place, run)
    with place.store.reading() as session:
        findings = gallery.findings(session, run, actor)
    return _audit_page(request, "audit.html.j2", view, cards=_cards(place, view.dataset, run, findings, actor))


@pages_router.get("/audits/{run}/findings/{finding}")
def finding(request: Request, run: AuditRun, finding: FindingId, place: Place, actor: Viewer) -> Response:
    """Everything about one finding."""
    view = audit_view(place, run)
    about = (Decision.subject == "finding") & (Decision.subject_id == finding)
    with place.store.reading() as session:
        findings = [each for each in gallery.findings(session, run, actor) if each.id == finding]
        decisions = session.execute(records(session, run, actor).where(about).order_by(Decision.id.desc()))
        history = [record(decision, action) for decision, action in decisions]
    if not findings:
        raise Missing(f"The audit {run!r} has no finding {finding!r}. See the list of its findings.")
    [made] = _cards(place, view.dataset, run, findings, actor)
    return _audit_page(request, "finding.html.j2", view, card=made, tables=tables(made.view.payload), history=history)


@pages_router.get("/audits/{run}/gallery")
def images(request: Request, run: AuditRun, place: Place) -> Response:
    """The images of an audit; the page's address holds the filters. Counts and images come later, through the API."""
    titles = select(Finding.finding, Finding.title).where(Finding.run == run).order_by(Finding.rank)
    with place.store.reading() as session:
        words = filter_words({finding: title for finding, title in session.execute(titles)})
    query = dict(request.query_params)
    fields = filter_fields(query, words)
    return _audit_page(request, "gallery.html.j2", audit_view(place, run), query=query, words=words, fields=fields)


@pages_router.get("/audits/{run}/images/{image}")
def image(request: Request, run: AuditRun, image: AuditImage, place: Place) -> Response:
    """One image."""
    return _audit_page(request, "image.html.j2", audit_view(place, run), image_id=image, kinds=REGION_KINDS)


@pages_router.get("/audits/{run}/agreement")
def agreement(request: Request, run: AuditRun, place: Place, offset: Offset = 0) -> Response:
    """How far readers agree, what they disagree about, and exports."""
    with place.store.reading() as session:
        pairs, open_conflicts = kappa(session, run, SEED), conflicts(session, run, offset, CONFLICTS)
    return _audit_page(
        request,
        "agreement.html.j2",
        audit_view(place, run),
        pairs=pairs,
        conflicts=open_conflicts,
        limit=CONFLICTS,
    )


@pages_router.get("/audits/{run}/plan")
def plan(request: Request, run: AuditRun, place: Place) -> Response:
    """What a repair would change, starting one, and how it goes."""
    return _audit_page(request, "plan.html.j2", audit_view(place, run))


@pages_router.get("/audits/{run}/report")
def report(run: AuditRun, place: Place) -> Response:
    """The audit's report as its file is, closed off from these pages; the browser's way back leads to them."""
    path = place.workspace / "runs" / run / "report.html"
    if not path.exists():
        raise Missing(f"The audit {run!r} has no report yet. A repair writes one when it is done.")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


@pages_router.get("/log")
def log(
    request: Request, place: Place, _: Admin, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
) -> Response:
    """Who signed in, failed to, changed accounts or settings, started repairs, exported."""
    with place.store.reading() as session:
        entries = lines(session, ENTRIES, before)
    older = entries[-1].id if len(entries) == ENTRIES else None
    return render(request, "log.html.j2", entries=entries, older=older)


def _audit_page(request: Request, template: str, view: Any, **context: Any) -> Response:
    return render(request, template, audit=view, next=next_step(view), **context)


def _cards(place: Here, dataset: str, run: str, findings: list[FindingView], actor: Actor) -> list[Card]:
    with place.store.reading() as session:
        shown = pictures(session, run, findings, place.workspace / "datasets" / dataset)
    min_effect = _min_effect(place.workspace / "runs" / run)
    return [card(view, actor, min_effect, shown[view.id]) for view in findings]


def _min_effect(run: Path) -> float | None:
    """The change of probability from which the audit took an effect to count; None where its request does not say."""
    flag = read_json(run / "run.json").get("request", {}).get("config", {}).get("flag", {})
    return float(flag["min_effect"]) if "min_effect" in flag else None
