"""Objects in forms: members of a field under names of their own, `fields[name]` or `fields.name`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatwren.domain.text import absent

_MAX_NAME = 500
"""Characters of a name that is taken apart: those of no member of ours are as many."""
_MAX_DEPTH = 8
_MEMBER = re.compile(r"\[([^\]]*+)\]?|\.([^.\[]*+)|([^.\[]++)")


def base_name(name: str) -> str:
    """The field whose member a name is; the name itself of a field."""
    return name.partition("[")[0].partition(".")[0]


def gathered(
    values: Mapping[str, Sequence[object]],
) -> tuple[dict[str, Sequence[object]], dict[str, str]]:
    """`values`, in which the members of a field are one object, and the name by which one of them came.

    `fields{}` is a field as a whole: so axios names one that it sends as JSON. What has no name, as in `phoneId[]`, is
    a list. What is given twice in different ways is one too, which no field of ours takes. Objects given as a whole and
    by members are joined; all else given in both ways is more than one value.
    """
    fields: dict[str, Sequence[object]] = {}
    objects: dict[str, Any] = {}
    came_as: dict[str, str] = {}
    for given_name, given in values.items():
        name = given_name.removesuffix("{}")
        base = base_name(name)
        if base == name:
            fields[name] = (*fields[name], *given) if name in fields else given
            continue
        came_as.setdefault(base, name)
        value = given[0] if all(one == given[0] for one in given) else list(given)
        path = _path(name[len(base) :])
        if "" in path:
            path, value = path[: path.index("")], [value]
        _put(objects, (base, *path), value)
    for base, members in objects.items():
        fields[base] = _joined([one for one in fields.get(base, ()) if not absent(one)], members)
    return fields, came_as


def _joined(whole: Sequence[object], members: Any) -> Sequence[object]:
    """What was given for a field as a whole, and by members: one object, where no member has a value in both."""
    if len(whole) != 1 or not isinstance(whole[0], dict) or not isinstance(members, dict):
        return (*whole, members)
    both = whole[0].keys() & members.keys()
    if not all(absent(whole[0][name]) or absent(members[name]) for name in both):
        return (*whole, members)
    return (whole[0] | {name: value for name, value in members.items() if name not in both or not absent(value)},)


def _path(rest: str) -> list[str]:
    if len(rest) > _MAX_NAME:
        return [rest]
    found = [bracketed or dotted or other for bracketed, dotted, other in _MEMBER.findall(rest)]
    return found if len(found) <= _MAX_DEPTH else [*found[:_MAX_DEPTH], ""]


def _put(objects: dict[str, Any], path: Sequence[str], value: object) -> None:
    at = objects
    for one in path[:-1]:
        below = at.setdefault(one, {})
        if not isinstance(below, dict):
            below = at[one] = {"": below}
        at = below
    before = at.get(path[-1])
    if absent(before) or before == value:
        at[path[-1]] = value
    elif not absent(value):
        at[path[-1]] = [before, value]
