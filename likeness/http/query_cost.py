"""How much a GraphQL document asks for, in one memoised pass: linear, however its fragments are nested."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

# Numbers stop growing here: doubling fragments would otherwise make integers of thousands of digits.
CEILING: Final = 1_000_000
# Selection sets inside each other, inline fragments included; keeps the pass itself off the recursion limit.
MAX_SETS: Final = 64
DEFAULT_PAGE: Final = 20

_PAGE_ARGUMENTS: Final = ("first", "last")


class NestedTooDeeply(Exception):
    """The document has more than `MAX_SETS` selection sets inside each other."""


@dataclass(frozen=True, kw_only=True)
class QueryCost:
    """What an operation comes to with every fragment written out.

    `depth` counts levels of fields, `nodes` the objects its connections can return. The insides of `__schema` and
    `__type` count in neither, nor in `fields`: graphql-core bounds them, and clients need the whole of them.
    """

    depth: int = 0
    fields: int = 0
    root_fields: int = 0
    introspections: int = 0
    aliases: int = 0
    directives: int = 0
    nodes: int = 0

    def __add__(self, other: "QueryCost") -> "QueryCost":
        return QueryCost(
            depth=max(self.depth, other.depth),
            fields=min(self.fields + other.fields, CEILING),
            root_fields=min(self.root_fields + other.root_fields, CEILING),
            introspections=min(self.introspections + other.introspections, CEILING),
            aliases=min(self.aliases + other.aliases, CEILING),
            directives=min(self.directives + other.directives, CEILING),
            nodes=min(self.nodes + other.nodes, CEILING),
        )


class CostPass:
    """The pass over one document. It takes invalid documents too: what it cannot resolve it leaves to validation."""

    def __init__(self, document: DocumentNode, *, schema: GraphQLSchema, variables: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._variables = variables or {}
        self._defaults: dict[str, int] = {}
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, QueryCost] = {}

    def cost(self, operation: OperationDefinitionNode) -> QueryCost:
        """The cost of one operation. Raises `NestedTooDeeply`."""
        self._known.clear()
        self._defaults = _default_pages(operation)
        root = self._schema.get_root_type(operation.operation)
        return self._set(operation.selection_set, root, 1) + QueryCost(directives=len(operation.directives or ()))

    def _set(self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None, level: int) -> QueryCost:
        if selections is None:
            return QueryCost()
        if level > MAX_SETS:
            raise NestedTooDeeply
        return reduce(add, (self._selection(node, parent, level) for node in selections.selections), QueryCost())

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None, level: int) -> QueryCost:
        own = QueryCost(directives=len(node.directives or ()))
        if isinstance(node, FieldNode):
            return own + self._field(node, parent, level)
        if isinstance(node, FragmentSpreadNode):
            return own + self._fragment(node.name.value, level)
        assert isinstance(node, InlineFragmentNode)
        condition = node.type_condition
        within = self._schema.get_type(condition.name.value) if condition else parent
        return own + self._set(node.selection_set, within, level + 1)

    def _fragment(self, name: str, level: int) -> QueryCost:
        if name in self._known or name not in self._fragments:
            return self._known.get(name, QueryCost())
        # A fragment that contains itself costs nothing here; validation refuses it.
        self._known[name] = QueryCost()
        node = self._fragments[name]
        within = self._schema.get_type(node.type_condition.name.value)
        self._known[name] = self._set(node.selection_set, within, level + 1)
        return self._known[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, level: int) -> QueryCost:
        name = node.name.value
        definition = _definition(parent, name)
        returned = get_named_type(definition.type) if definition else None
        inside = self._set(node.selection_set, returned, level + 1)
        own = QueryCost(depth=1, fields=1, root_fields=1, aliases=1 if node.alias else 0)
        if name in ("__schema", "__type"):
            hidden = replace(inside, depth=0, fields=0, root_fields=0, nodes=0)
            return own + hidden + QueryCost(introspections=1)
        page = self._page(node, definition)
        nodes = min(page * (1 + inside.nodes), CEILING) if page is not None else inside.nodes
        below = replace(inside, depth=0, root_fields=0, nodes=nodes)
        return replace(own + below, depth=1 + inside.depth)

    def _page(self, node: FieldNode, definition: GraphQLField | None) -> int | None:
        """The most objects a connection field can return; None for any other field."""
        names = [name for name in _PAGE_ARGUMENTS if definition is not None and name in definition.args]
        if not names:
            return None
        given = [arg.value for arg in node.arguments or () if arg.name.value in names]
        return max((self._size(value) for value in given), default=DEFAULT_PAGE)

    def _size(self, value: object) -> int:
        if isinstance(value, IntValueNode):
            return _bounded(int(value.value[:10]))
        if isinstance(value, VariableNode):
            name = value.name.value
            size = self._variables.get(name, self._defaults.get(name))
            return _bounded(size) if isinstance(size, int) else DEFAULT_PAGE
        return DEFAULT_PAGE


def _bounded(size: int) -> int:
    return min(max(size, 0), CEILING)


def _definition(parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if isinstance(parent, (GraphQLObjectType, GraphQLInterfaceType)):
        fields: Mapping[str, GraphQLField] = parent.fields
        return fields.get(name)
    return None


def _default_pages(operation: OperationDefinitionNode) -> dict[str, int]:
    return {
        node.variable.name.value: int(node.default_value.value[:10])
        for node in operation.variable_definitions or ()
        if isinstance(node.default_value, IntValueNode)
    }
