"""What a node has, read from the host's /object_info: sockets, and widgets in the order of a saved file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...host.api_format import Json, WorkflowError, has_control, inputs_of, is_widget, to_api

# The editor's own, which the server knows nothing of: its widgets.
_EDITORS = {"MarkdownNote": ("text",)}
AFTER_A_RUN = "fixed"
_UPLOAD = "image"
# An input of as many sockets as are wired, and one more.
_GROWS = "COMFY_AUTOGROW_V3"


class HostNodes:
    """The nodes of one running host."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._info = object_info

    def prompt_of(self, workflow: Json) -> Json:
        """The workflow in the API format, as the page exports it."""
        return to_api(workflow, self._info)

    def sockets(self, kind: str, wired: Iterable[str]) -> tuple[list[Json], list[Json]]:
        """(inputs, outputs) of a node as a file holds them, unlinked: its sockets, then its wired widgets."""
        if kind in _EDITORS:
            return [], []
        wired = set(wired)
        sockets, widgets = list[Json](), list[Json]()
        for name, type_, options in inputs_of(self._definition(kind)):
            if type_ == _GROWS:
                sockets += _grown(name, options["template"], wired)
                continue
            item: Json = {"name": name, "type": _type(type_), "link": None}
            if not is_widget(type_, options):
                sockets.append(item)
            elif name in wired:
                widgets.append(item | {"widget": {"name": name}})
        unknown = wired - {item["name"] for item in (*sockets, *widgets)}
        if unknown:
            raise WorkflowError(f"{kind} has no input {', '.join(sorted(unknown))}.")
        definition = self._definition(kind)
        names = zip(definition["output_name"], definition["output"], strict=True)
        return [*sockets, *widgets], [{"name": n, "type": _type(t), "links": []} for n, t in names]

    def widget_values(self, kind: str, given: Mapping[str, Any]) -> list[Any]:
        """A node's `widgets_values`: `given` by name, the host's own default where nothing is given."""
        if kind in _EDITORS:
            return [given[name] for name in _EDITORS[kind]]
        left = dict(given)
        values = list(_values(kind, self._definition(kind), left))
        if left:
            raise WorkflowError(f"{kind} has no widget {', '.join(sorted(left))}.")
        return values

    def _definition(self, kind: str) -> Mapping[str, Any]:
        if kind not in self._info:
            raise WorkflowError(f"the host does not know {kind}.")
        return self._info[kind]


def _type(kind: Any) -> str:
    return "COMBO" if isinstance(kind, list) else kind


def _grown(name: str, template: Json, wired: set[str]) -> list[Json]:
    """The sockets of an input that grows: those that are wired, and a free one."""
    ((_, (type_, *_)),) = template["input"]["required"].items()
    count = sum(each.startswith(f"{name}.") for each in wired)
    shown = [f"{template['prefix']}{i}" for i in range(max(template["min"], count + 1))]
    return [{"label": each, "name": f"{name}.{each}", "type": type_, "link": None} for each in shown]


def _values(
    kind: str, definition: Mapping[str, Any], left: dict[str, Any], prefix: str = ""
) -> Iterator[Any]:
    """The widgets' values, with what the editor writes behind some of them; takes them out of `left`."""
    for name, type_, options in inputs_of(definition):
        if not is_widget(type_, options):
            continue
        value = left.pop(prefix + name) if prefix + name in left else _default(kind, name, type_, options)
        yield value
        if type_ == "COMFY_DYNAMICCOMBO_V3":
            chosen = next((option for option in options["options"] if option["key"] == value), None)
            if chosen is None:
                raise WorkflowError(f"{kind}.{prefix}{name} has no option {value!r}.")
            yield from _values(kind, chosen["inputs"], left, f"{prefix}{name}.")
        if has_control(name, type_, options):
            yield AFTER_A_RUN
        if options.get("image_upload"):
            yield _UPLOAD


def _default(kind: str, name: str, type_: Any, options: Json) -> Any:
    """The value that the editor starts with."""
    choices = type_ if isinstance(type_, list) else options.get("options")
    if "default" in options:
        return options["default"]
    if not choices:
        raise WorkflowError(f"{kind}.{name} has no default: give it a value.")
    return choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
