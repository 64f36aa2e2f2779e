"""The JSON API below /api: one router a topic. What it says and takes is in `pipeline.review.values`."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.review.web.api import agreement, audits, decisions, exports, images, pixels, regions, repair
from pipeline.review.web.api.failures import failures

api_router = APIRouter(prefix="/api", responses=failures(400, 401, 403, 413, 421, 422, 503))
for _topic in (audits, images, pixels, decisions, regions, agreement, repair, exports):
    api_router.include_router(_topic.router)

__all__ = ["api_router"]
