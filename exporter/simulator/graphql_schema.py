"""What GitLab's GraphQL knows of projects and pipelines: types, fields and arguments, and what a query may not say.

Errors are worded as GitLab's are, which graphql-ruby makes.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.simulator.graphql_query import Operation, Place, Selection, Variable, Word

PAGE_MOST = 100
SCALARS = frozenset({"ID", "String", "Int", "Boolean", "Time", "PipelineStatusEnum"})
PAGING = {"first": "Int", "last": "Int", "after": "String", "before": "String"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a type."""

    type: str
    """What it gives, or gives a list of."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Types by name."""

    @property
    def connection(self) -> bool:
        """Whether it gives pages."""
        return self.type.endswith("Connection")


def _scalars(**types: str) -> dict[str, Field]:
    return {name: Field(type_) for name, type_ in types.items()}


def _connection(node: str) -> dict[str, Field]:
    return {"nodes": Field(node), "pageInfo": Field("PageInfo"), "count": Field("Int")}


PIPELINES = Field("PipelineConnection", {
    **PAGING, "status": "PipelineStatusEnum", "ref": "String", "sha": "String", "source": "String",
    "scope": "PipelineScopeEnum", "updatedAfter": "Time", "updatedBefore": "Time",
})  # fmt: skip
SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "Query": {
        "projects": Field("ProjectConnection", {**PAGING, "ids": "[ID!]", "membership": "Boolean", "sort": "String"}),
        "project": Field("Project", {"fullPath": "ID!"}),
    },
    "ProjectConnection": _connection("Project"),
    "Project": {
        **_scalars(id="ID", name="String", fullPath="ID", webUrl="String", archived="Boolean"),
        "pipelines": PIPELINES,
    },
    "PipelineConnection": _connection("Pipeline"),
    "Pipeline": {
        **_scalars(id="ID", iid="String", status="PipelineStatusEnum", ref="String", sha="String", source="String"),
        **_scalars(createdAt="Time", updatedAt="Time", startedAt="Time", finishedAt="Time", path="String"),
        "upstream": Field("Pipeline"),
    },
    "PageInfo": _scalars(hasNextPage="Boolean", hasPreviousPage="Boolean", startCursor="String", endCursor="String"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a query."""

    message: str
    place: Place
    path: tuple[str, ...]
    extensions: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """As the answer has it."""
        where = {"line": self.place.line, "column": self.place.column}
        return {"message": self.message, "locations": [where], "path": [*self.path], "extensions": {**self.extensions}}


def faults(operation: Operation, without: Container[str]) -> list[Fault]:
    """All that is wrong with it, by a schema that lacks what `without` names (`Project.pipelines.updatedAfter`)."""
    check = _Check(operation, without)
    found = [fault for selection in operation.fields for fault in check.selection(selection, "Query", (check.name,))]
    return [*found, *check.variables()]


class _Check:
    """One operation under scrutiny."""

    def __init__(self, operation: Operation, without: Container[str]) -> None:
        self.name = f"query {operation.name}" if operation.name else "query"
        self._declared, self._without = operation.variables, without
        self._called = self.name if operation.name else "anonymous query"
        self._used: dict[str, Selection] = {}

    def selection(self, selection: Selection, parent: str, path: tuple[str, ...]) -> Iterator[Fault]:
        """What is wrong with a field of that type, and with all below it."""
        path, place, name = (*path, selection.alias), selection.place, f"{parent}.{selection.name}"
        if selection.name == "__typename":
            return
        known = SCHEMA[parent].get(selection.name)
        if known is None or name in self._without:
            text = f"Field '{selection.name}' doesn't exist on type '{parent}'"
            extensions = {"code": "undefinedField", "typeName": parent, "fieldName": selection.name}
            yield Fault(text, place, path, extensions)
            return
        for argument, value in selection.arguments.items():
            type_ = "" if f"{name}.{argument}" in self._without else known.arguments.get(argument, "")
            yield from self._argument(selection, argument, value, type_, path)
        required = [argument for argument, type_ in known.arguments.items() if type_.endswith("!")]
        missing = [argument for argument in required if argument not in selection.arguments]
        if missing:
            text = f"Field '{selection.name}' is missing required arguments: {', '.join(missing)}"
            yield Fault(text, place, path, {"code": "missingRequiredArguments", "name": selection.name})
        if (known.type in SCALARS) == bool(selection.fields):
            given = f"(field '{selection.name}' returns {known.type})"
            text = (
                f"Selections can't be made on scalars {given}"
                if selection.fields
                else f"Field must have selections {given}"
            )
            yield Fault(text, place, path, {"code": "selectionMismatch", "nodeName": selection.name})
            return
        for inner in selection.fields:
            yield from self.selection(inner, known.type, path)
        yield from _conflicts(selection.fields, path)

    def _argument(
        self, selection: Selection, name: str, value: Any, type_: str, path: tuple[str, ...]
    ) -> Iterator[Fault]:
        """What is wrong with an argument; it has no type where there is none of that name."""
        place, path, field_ = selection.place, (*path, name), f"Field '{selection.name}'"
        extensions = {"typeName": "Field", "argumentName": name}
        for variable in _variables(value):
            self._used.setdefault(variable, selection)
        if not type_:
            extensions = {"code": "argumentNotAccepted", "name": selection.name, **extensions}
            yield Fault(f"{field_} doesn't accept argument '{name}'", place, path, extensions)
        elif isinstance(value, Variable):
            declared = self._declared.get(value.name)
            if declared is not None and not _assignable(declared.type, type_, has_default=declared.has_default):
                text = f"Type mismatch on variable ${value.name} and argument {name} ({declared.type} / {type_})"
                yield Fault(text, place, path, {"code": "variableMismatch", **extensions})
        elif not is_of(value, type_, literal=True):
            text = f"Argument '{name}' on {field_} has an invalid value. Expected type '{type_}'."
            yield Fault(text, place, path, {"code": "argumentLiteralsIncompatible", **extensions})

    def variables(self) -> Iterator[Fault]:
        """What is wrong with the variables, once all fields were looked at."""
        for name, declared in self._declared.items():
            if name not in self._used:
                text = f"Variable ${name} is declared by {self._called} but not used"
                yield Fault(text, declared.place, (self.name,), {"code": "variableNotUsed", "variableName": name})
        for name, selection in self._used.items():
            if name not in self._declared:
                text = f"Variable ${name} is used by {self._called} but not declared"
                yield Fault(text, selection.place, (self.name,), {"code": "variableNotDefined", "variableName": name})


def _conflicts(fields: tuple[Selection, ...], path: tuple[str, ...]) -> Iterator[Fault]:
    """Two fields under one name with other arguments: one of them needs an alias."""
    seen: dict[str, Selection] = {}
    for one in fields:
        other = seen.setdefault(one.alias, one)
        if (other.name, other.arguments) != (one.name, one.arguments):
            text = f"Field '{one.alias}' has an argument conflict"
            yield Fault(text, one.place, path, {"code": "fieldConflict", "fieldName": one.alias})


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, Variable):
        yield value.name
    elif isinstance(value, list):
        for one in value:
            yield from _variables(one)


def _assignable(variable: str, argument: str, *, has_default: bool) -> bool:
    """Whether a variable of that type may stand in the place of the argument."""
    if argument.endswith("!"):
        required = variable.endswith("!") or has_default
        return required and _assignable(variable.removesuffix("!"), argument[:-1], has_default=False)
    variable = variable.removesuffix("!")
    if argument.startswith("["):
        return variable.startswith("[") and _assignable(variable[1:-1], argument[1:-1], has_default=False)
    return variable == argument


def is_of(value: Any, type_: str, *, literal: bool = False) -> bool:
    """Whether a value fits a type; a single one in the place of a list does. A literal of an enumeration is a word."""
    if value is None:
        return not type_.endswith("!")
    type_ = type_.removesuffix("!")
    if type_.startswith("["):
        return all(is_of(one, type_[1:-1], literal=literal) for one in (value if isinstance(value, list) else [value]))
    if isinstance(value, Variable):
        return True
    if type_.endswith("Enum"):
        return isinstance(value, Word) if literal else isinstance(value, str)
    if type_ in ("Int", "Boolean"):
        return isinstance(value, bool) if type_ == "Boolean" else isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str | int) and not isinstance(value, bool | Word)


def complexity(operation: Operation) -> int:
    """What GitLab counts a query as: 1 a field; a connection with its children once more for each hundred items."""
    return sum(_complexity(selection, "Query") for selection in operation.fields)


def _complexity(selection: Selection, parent: str) -> int:
    if selection.name == "__typename":
        return 1
    known = SCHEMA[parent][selection.name]
    children = sum(_complexity(inner, known.type) for inner in selection.fields)
    counted = 1 + children
    if not known.connection:
        return counted
    counted += sum(more for name, more in (("sort", 1), ("sha", 2), ("ref", 2)) if name in selection.arguments)
    asked = [selection.arguments.get(name) for name in ("first", "last")]
    # A variable counts as its value, which is put in its place before.
    return int(counted * (1 + 0.01 * min([PAGE_MOST, *(one for one in asked if isinstance(one, int))])))
