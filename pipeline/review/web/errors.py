"""What people and programs are told when something is refused or fails: never a stack, never a path of the server."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pipeline.errors import CxrAuditError, InputError, StorageError
from pipeline.review.store.conflict import Conflict, Missing
from pipeline.review.web.access.headers import SECURITY_HEADERS
from pipeline.review.web.api.failures import Failure, FailureBody
from pipeline.review.web.rendering import render

logger = logging.getLogger(__name__)

_CODES = {
    400: "bad-request",
    401: "signed-out",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    421: "misdirected",
    422: "invalid",
    429: "too-many",
    500: "internal",
    503: "unavailable",
}
_TITLES = {
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    500: "Something went wrong",
    503: "Not available now",
}
_SHOWN = 5
"""Problems of one request that are told."""


def refuse(request: Request, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An answer of status 400 or more: JSON below /api, a page elsewhere."""
    return _answer(request, status, Failure(code=_CODES.get(status, "error"), message=message, changes=None), headers)


def refuse_error(request: Request, error: CxrAuditError) -> Response:
    """The answer to a request that one of our own errors ended."""
    if isinstance(error, Conflict):
        return _answer(request, 409, Failure(code=_CODES[409], message=str(error), changes=error.changes))
    if isinstance(error, StorageError):
        logger.error("%s", error)
        return refuse(request, 503, "The database or the disk cannot be used now; nothing was changed. Try again soon.")
    if not isinstance(error, InputError):
        logger.error("%s: %s", type(error).__name__, error)
    workspace = str(request.app.state.here.workspace)
    return refuse(request, 404 if isinstance(error, Missing) else 400, str(error).replace(workspace, "the workspace"))


def add_handlers(app: FastAPI) -> None:
    """Let every error of `app` be answered in the one form."""
    app.add_exception_handler(CxrAuditError, _own)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _answer(request: Request, status: int, failure: Failure, headers: dict[str, str] | None = None) -> Response:
    response: Response
    if request.url.path.startswith("/api/"):
        content = FailureBody(error=failure).model_dump(mode="json", exclude_none=True)
        response = JSONResponse(content, status)
    else:
        title = _TITLES.get(status, "This did not work")
        response = render(request, "error.html.j2", status, heading=title, message=failure.message)
    response.headers.update(headers or {})
    return response


def _own(request: Request, error: Exception) -> Response:
    if not isinstance(error, CxrAuditError):
        raise TypeError(type(error))
    return refuse_error(request, error)


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(type(error))
    message = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
    return refuse(request, error.status_code, message, dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> Response:
    # Never the value: it may be a password.
    if not isinstance(error, RequestValidationError):
        raise TypeError(type(error))
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:_SHOWN]]
    return refuse(request, 422, "; ".join(problems))


def _unexpected(request: Request, error: Exception) -> Response:
    # Outside of all middleware: the headers are not added by themselves. The server logs the error.
    message = "The server met an error that it did not expect; its terminal says which. Try again."
    return refuse(request, 500, message, SECURITY_HEADERS)
