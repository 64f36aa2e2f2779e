"""Where notices go: `<workspace>/notices.yaml`, or the file that `CXR_AUDIT_NOTICES` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from flows.notices.notice import KINDS, Kind
from flows.workspace import Workspace
from pipeline.errors import InputError, did_you_mean
from pipeline.ingest.manifest_yaml import Place, YamlDocument

ENVIRONMENT = "CXR_AUDIT_NOTICES"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable: secrets do not stand in files."""


def shown_variable(name: str) -> str:
    """An environment variable by its name, and whether it is missing."""
    return f"${name}" + ("" if os.environ.get(name) else " (not set)")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Webhook(_Strict):
    """One receiver of notices."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    url: str | None = None
    url_from: Variable | None = Field(None, description="environment variable that holds the address")
    format: Literal["slack", "json"] = "json"
    on: tuple[Kind, ...] = Field(KINDS, min_length=1)
    secret_from: Variable | None = Field(None, description="environment variable with the key that signs `json`")
    headers_from: dict[str, Variable] = Field(default_factory=dict, description="header -> environment variable")
    timeout: float = Field(5.0, gt=0, le=20, description="seconds for one attempt")
    allow_http: bool = Field(False, description="send without TLS to other machines")

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is not None and not _is_http(url):
            raise ValueError("is not the http or https address of a machine")
        return url

    @model_validator(mode="after")
    def _one_address(self) -> Webhook:
        if (self.url is None) == (self.url_from is None):
            raise ValueError("needs either url or url_from")
        if self.secret_from and self.format != "json":
            raise ValueError("secret_from signs `format: json` alone")
        if self.url is not None and not self.may_use(self.url):
            raise ValueError("url is not https; use https, or say `allow_http: true`")
        return self

    def may_use(self, url: str) -> bool:
        """Whether `url` is safe to send to: https, this machine, or allowed by name."""
        parts = urlsplit(url)
        return parts.scheme == "https" or self.allow_http or parts.hostname in _LOOPBACK

    def address(self) -> str:
        """Where to send.

        Raises:
            InputError: its environment variable is not set or holds no address that may be used.
        """
        url = self.url or variable(str(self.url_from))
        if not _is_http(url) or not self.may_use(url):
            raise InputError(f"{self.url_from} holds no https address (or http, with `allow_http: true`).")
        return url

    def headers(self) -> dict[str, str]:
        """Its own headers.

        Raises:
            InputError: an environment variable is not set.
        """
        return {name: variable(value) for name, value in self.headers_from.items()}

    def secret(self) -> str | None:
        """The key that signs, if it has one.

        Raises:
            InputError: its environment variable is not set.
        """
        return variable(self.secret_from) if self.secret_from else None

    def ready(self) -> None:
        """Raise an InputError unless all that it takes from the environment is there."""
        for part in (self.address, self.headers, self.secret):
            part()

    @property
    def shown(self) -> str:
        """The address without what may be secret: of `url` the machine, of `url_from` the variable's name."""
        if self.url_from:
            return shown_variable(self.url_from)
        parts = urlsplit(str(self.url))
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/…"


class Notices(_Strict):
    """The file: who is told what."""

    webhooks: tuple[Webhook, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Notices:
        names = [each.name for each in self.webhooks]
        if len(set(names)) < len(names):
            raise ValueError("two webhooks have the same name")
        return self


def notices_file(workspace: Path) -> Path:
    """`CXR_AUDIT_NOTICES`, or notices.yaml of the workspace."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else Workspace(workspace).notices


def read_notices(workspace: Path) -> Notices:
    """The configuration; nobody is told where there is no file in the workspace.

    Raises:
        InputError: the file is wrong, or the one that `CXR_AUDIT_NOTICES` names is missing; says line, key and what
            is allowed.
    """
    path = notices_file(workspace)
    if not path.exists() and ENVIRONMENT not in os.environ:
        return Notices()
    try:
        document = YamlDocument(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see {ENVIRONMENT}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = Place.of(mark) if mark else Place(1, 1)
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InputError(f"{path}:{place.line}:{place.column}: not valid YAML: {problem}") from error
    mistakes = [(place, _key(at), f"stands in line {first.line} already") for at, place, first in document.repeated]
    try:
        notices = Notices.model_validate(document.value if document.value is not None else {})
    except ValidationError as error:
        mistakes += [_mistake(document, details) for details in error.errors(include_url=False)]
    if mistakes:
        lines = [f"{path}:{place.line}:{place.column}: {key}: {words}" for place, key, words in mistakes]
        raise InputError("\n".join([*lines, "Every key is described in docs/operations.md."]))
    return notices


def variable(name: str) -> str:
    """The value of an environment variable.

    Raises:
        InputError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise InputError(f"The environment variable {name} is not set, which the notices' configuration names.")
    return value


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _mistake(document: YamlDocument, details: Any) -> tuple[Place, str, str]:
    at = tuple(details["loc"])
    words = str(details["msg"]).removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        owner = Webhook if len(at) > 1 else Notices
        words = f"unknown key. {did_you_mean(str(at[-1]), owner.model_fields)}"
    return document.place(at), _key(at), words


def _key(at: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".") or "notices"
