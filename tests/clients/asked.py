"""What a client is to send, in terms of any of them, and what it was answered."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Form = Literal["multipart", "json", "urlencoded"]


@dataclass(frozen=True, slots=True)
class File:
    """A file to send along.

    Attributes:
        path: where it lies. Some clients take its name from there.
        name: under which it is sent; None: the client is not told any.
        type: None: the client is not told any.
    """

    field: str
    path: Path
    name: str | None
    type: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the way that a client is used.

    Attributes:
        fields: whose values are texts.
        objects: whose values have members: sent as the client, or those who use it, send them.
    """

    url: str
    cookie: str
    form: Form
    fields: dict[str, str]
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: tuple[File, ...] = ()

    def text(self) -> str:
        """For a client in another language."""
        return json.dumps(asdict(self), default=str)

    def members(self) -> dict[str, str]:
        """All fields as forms have them, those of objects under names of their own: `fields[name]`."""
        of_objects = {
            f"{name}[{key}]": value if isinstance(value, str) else json.dumps(value)
            for name, members in self.objects.items()
            for key, value in members.items()
        }
        return {**self.fields, **of_objects}

    def texts(self) -> dict[str, str]:
        """All fields as forms have them, objects as JSON texts."""
        return {**self.fields, **{name: json.dumps(members) for name, members in self.objects.items()}}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, whose body was JSON."""

    status: int
    body: dict[str, Any]

    @property
    def message_id(self) -> str:
        """The id of the message, which was accepted."""
        assert self.status == 200, self.body
        return str(self.body["messageId"])
