"""The lists and single rows of the API, one pair of operations per resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from sqlalchemy import and_

from hub.api.lists import DEFAULT_LIMIT, MAX_LIMIT, Filter, Query, Resource, fetch, one, parse_query
from hub.api.policy import POLICY_LISTS, PolicyList, page_of, single_of
from hub.api.problems import Problem, documented
from hub.api.resources import DECISION_DETAIL, DECISIONS, DEVICES, EVENTS, ITEMS, READERS, RESOURCES
from hub.api.schemas import DecisionDetailOut, DeviceOut, EventOut, ItemOut, Page, ReaderOut
from hub.api.services import Reads
from hub.store.schema import readers

__all__ = ["add_list", "router"]

router = APIRouter()

_SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": "string", "maxLength": 160},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "time": {"type": "string", "format": "date-time"},
}


def _parameter(name: str, schema: dict[str, Any], about: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


_PAGING = [
    _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
    _parameter("cursor", {"type": "string", "maxLength": 1024}, "`next_cursor` of the page before"),
]


def _parameters(filters: dict[str, Filter]) -> dict[str, Any]:
    return {
        "parameters": [
            *(_parameter(name, _SCHEMAS[known.kind], known.about) for name, known in filters.items()),
            *_PAGING,
        ]
    }


def add_list(router: APIRouter, resource: Resource, rows: Callable[..., Any]) -> None:
    """The list operation of a resource, with its filters and refusals documented."""
    router.add_api_route(
        f"/{resource.name}",
        rows,
        response_model=Page[resource.model],  # type: ignore[name-defined]  # a model known at run time
        name=f"list {resource.name}",
        tags=[resource.name],
        openapi_extra=_parameters(dict(resource.filters)),
        responses=documented(401, 403, 422),
    )


def _add(resource: Resource) -> None:
    async def rows(ask: Reads, request: Request) -> Any:
        query = parse_query(resource, request.query_params.multi_items())
        return asdict(await fetch(ask.conn, resource, ask.access, query, ask.now))

    async def row(ask: Reads, id: str) -> Any:
        return await one(ask.conn, resource, ask.access, (id,), ask.now)

    add_list(router, resource, rows)
    if (
        len(resource.key) == 1 and resource is not DECISIONS
    ):  # decisions have an operation of their own, with their facts
        router.add_api_route(
            f"/{resource.name}/{{id:path}}",
            row,
            response_model=resource.model,
            name=f"one {resource.single}",
            tags=[resource.name],
            responses=documented(401, 403, 404),
        )


def _add_policy(listed: PolicyList) -> None:
    async def rows(ask: Reads, request: Request) -> Any:
        policy = ask.hub.policy
        return asdict(page_of(listed, policy, ask.access, request.query_params.multi_items(), ask.now))

    async def row(ask: Reads, id: str) -> Any:
        policy = ask.hub.policy
        return single_of(listed, policy, ask.access, id, ask.now)

    named = [_parameter(name, _SCHEMAS["text"]) for name in listed.filters]
    router.add_api_route(
        f"/{listed.name}", rows, response_model=Page[listed.model],  # type: ignore[name-defined]  # a model known at run time
        name=f"list {listed.name}", tags=[listed.name], openapi_extra={"parameters": [*named, *_PAGING]},
        responses=documented(401, 403, 422),
    )  # fmt: skip
    router.add_api_route(
        f"/{listed.name}/{{id}}", row, response_model=listed.model, name=f"one {listed.single}", tags=[listed.name],
        responses=documented(401, 403, 404),
    )  # fmt: skip


@router.get(
    "/items/{owner}/{item_no:path}", response_model=ItemOut, tags=["items"], responses=documented(401, 403, 404)
)
async def one_item(ask: Reads, owner: str, item_no: str) -> Any:
    """One item by its key."""
    return await one(ask.conn, ITEMS, ask.access, (owner, item_no), ask.now)


@router.get(
    "/events/{node}/{epoch}/{seq}", response_model=EventOut, tags=["events"], responses=documented(401, 403, 404, 422)
)
async def one_event(ask: Reads, node: str, epoch: str, seq: Annotated[int, Path(ge=1, le=2**53)]) -> Any:
    """One event by its id."""
    return await one(ask.conn, EVENTS, ask.access, (node, epoch, seq), ask.now)


@router.get(
    "/decisions/{id:path}", response_model=DecisionDetailOut, tags=["decisions"], responses=documented(401, 403, 404)
)
async def one_decision(ask: Reads, id: str) -> Any:
    """One decision with the facts it was taken from."""
    return await one(ask.conn, DECISION_DETAIL, ask.access, (id,), ask.now)


@router.get(
    "/devices/{node}/{id:path}", response_model=DeviceOut, tags=["devices"], responses=documented(401, 403, 404)
)
async def one_device(ask: Reads, node: str, id: str) -> Any:
    """One device: a branch's own name for it is unique within its node."""
    return await one(ask.conn, DEVICES, ask.access, (node, id), ask.now)


class ReaderLookup(BaseModel):
    """A reader by number; numbers travel in bodies, never in addresses."""

    library: str = Field(max_length=16)
    reader_no: str = Field(min_length=1, max_length=64)


@router.post("/readers/lookup", response_model=ReaderOut, tags=["readers"], responses=documented(401, 403, 404, 422))
async def look_up_reader(ask: Reads, wanted: ReaderLookup) -> Any:
    """The reader of a library by number, for that library's own staff; it changes nothing."""
    match = and_(readers.c.home == wanted.library, readers.c.reader_no == wanted.reader_no)
    found = (await fetch(ask.conn, READERS, ask.access, Query((match,), 1), ask.now)).items
    if not found or not ask.access.within(wanted.library):
        raise Problem(404, "NOT_FOUND", "No reader of that number exists for you.")
    return found[0]


for _listed in POLICY_LISTS:
    _add_policy(_listed)
for _resource in RESOURCES.values():
    _add(_resource)
