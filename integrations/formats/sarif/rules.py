"""The rules of a SARIF run: looking up that of a result, and the level that the result has by it."""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.formats.json_files import as_array, as_object, as_text

_DEFAULT = "warning"


class Rules:
    """The rules of a run's tool and its extensions, and how each invocation configured them.

    Rules are looked up by a reference to them (SARIF 3.27.5 to 3.27.7, 3.52.4).
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        tool = as_object(run.get("tool"))
        self._driver = as_array(as_object(tool.get("driver")).get("rules"))
        self._extensions = [as_array(as_object(part).get("rules")) for part in as_array(tool.get("extensions"))]
        rules = (as_object(rule) for part in (self._driver, *self._extensions) for rule in part)
        self._by_id = {as_text(rule.get("id")): rule for rule in rules}
        self._overrides = [self._levels(as_object(one)) for one in as_array(run.get("invocations"))]

    def of(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the rule of a result; an empty one if the report does not describe it."""
        reference = as_object(result.get("rule"))
        place = _place(as_object(reference.get("toolComponent")).get("index"), self._extensions)
        component = self._driver if place is None else self._extensions[place]
        index = _place(reference.get("index", result.get("ruleIndex")), component)
        if index is not None:
            return as_object(component[index])
        return self._named(_id(result))

    def level_of(self, result: Mapping[str, Any]) -> str:
        """Return the level of a result: its own, else by the invocation's configuration, else by the rule's default.

        That is the order of SARIF 3.27.10. Without any of them, and for a value that is no text, it is a warning.
        """
        if "level" in result:
            return as_text(result["level"]) or _DEFAULT
        levels = self._overriding(result)
        override = levels.get(self._key(result)) if levels else None
        return override or as_text(as_object(self.of(result).get("defaultConfiguration")).get("level")) or _DEFAULT

    def _levels(self, invocation: Mapping[str, Any]) -> Mapping[int | str, str]:
        """Return the levels that an invocation gave to rules."""
        levels: dict[int | str, str] = {}
        for override in map(as_object, as_array(invocation.get("ruleConfigurationOverrides"))):
            level = as_text(as_object(override.get("configuration")).get("level"))
            key = self._key({"rule": override.get("descriptor")})
            if level and key:
                levels[key] = level
        return levels

    def _overriding(self, result: Mapping[str, Any]) -> Mapping[int | str, str]:
        """Return the levels of the invocation that made a result: the one that it names, or the only one."""
        only = 0 if len(self._overrides) == 1 else None
        index = as_object(result.get("provenance")).get("invocationIndex", only)
        place = _place(index, self._overrides)
        return {} if place is None else self._overrides[place]

    def _key(self, reference: Mapping[str, Any]) -> int | str:
        """Return what is the same for all references to one rule: its identity, or its id if it is not described."""
        rule = self.of(reference)
        return id(rule) if rule else _id(reference)

    def _named(self, rule_id: str) -> Mapping[str, Any]:
        """Look up the complete id, else its part before the last slash: ids may be hierarchical (SARIF 3.27.5)."""
        return self._by_id.get(rule_id) or self._by_id.get(rule_id.rpartition("/")[0], {})


def _id(reference: Mapping[str, Any]) -> str:
    return as_text(reference.get("ruleId", as_object(reference.get("rule")).get("id")))


def _place(index: Any, items: Sequence[Any]) -> int | None:
    known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(items)
    return index if known else None
