"""Errors of the API: RFC 9457 ``application/problem+json`` with a stable ``code``, whatever went wrong where."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

__all__ = ["Problem", "ProblemOut", "documented", "install", "problem_response"]

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("tongjie.hub.api")


class Problem(Exception):
    """A request that cannot be answered as asked. ``code`` is stable; ``title`` says in one sentence what to do."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {title}")
        self.status = status
        self.code = code
        self.title = title
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})


class FieldErrorOut(BaseModel):
    """One field that is wrong."""

    field: str
    code: str
    message: str


class ProblemOut(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str
    status: int
    code: str
    trace_id: str
    errors: list[FieldErrorOut] | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation says in OpenAPI about its refusals."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
        }
        for status in statuses
    }


def problem_response(request: Request, problem: Problem) -> Response:
    """The problem as an HTTP response, with the request's trace id."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "trace_id": request.scope.get("tongjie.trace", ""),
    }
    if problem.errors:
        body["errors"] = problem.errors
    return JSONResponse(body, problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


_BY_STATUS = {
    400: ("BAD_REQUEST", "The request cannot be read."),
    404: ("NOT_FOUND", "Nothing is here for you."),
    405: ("METHOD_NOT_ALLOWED", "This address does not take that method; see Allow."),
    406: ("NOT_ACCEPTABLE", "This cannot be sent in a form you accept."),
    415: ("MEDIA_TYPE", "Send the body as application/json."),
}


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(request, error)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not sent back: it may hold a card number or a password.
    fields = [
        {"field": ".".join(str(part) for part in row["loc"]), "code": str(row["type"]).upper(), "message": row["msg"]}
        for row in error.errors()[:20]
    ]
    return problem_response(request, Problem(422, "FIELDS_INVALID", "Some fields are missing or wrong.", errors=fields))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, title = _BY_STATUS.get(error.status_code, (f"HTTP_{error.status_code}", str(error.detail)))
    return problem_response(request, Problem(error.status_code, code, title, headers=error.headers))


async def _on_crash(request: Request, error: Exception) -> Response:
    _log.error("request failed trace=%s type=%s", request.scope.get("tongjie.trace", ""), type(error).__name__)
    return problem_response(
        request, Problem(500, "INTERNAL", "The hub failed to answer; report the trace_id to its operator.")
    )


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_crash)
