"""The bounds on one GraphQL document, checked before validation (measured: 20,000 aliases hold the loop for 3.6 s)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLError, OperationDefinitionNode, OperationType
from strawberry.extensions import SchemaExtension, ValidationCache

from likeness.http.errors import BadInput, Code
from likeness.http.masking import MaskUnexpected
from likeness.http.query_cost import CostPass, NestedTooDeeply, QueryCost


@dataclass(frozen=True, kw_only=True)
class QueryLimits:
    """The most that one document may ask for; fragments count each time they are used."""

    characters: int = 15_000
    tokens: int = 1_000
    operations: int = 5
    fragments: int = 30
    depth: int = 12
    fields: int = 500
    root_fields: int = 20
    root_mutations: int = 5
    introspections: int = 3
    aliases: int = 30
    directives: int = 20
    nodes: int = 2_000


DEFAULT_LIMITS: Final = QueryLimits()
REMEMBERED: Final = 64  # documents; the largest that the limits let through takes about 400 kB


class LimitQuery(SchemaExtension):
    """Refuses documents over the limits, and several operations without a name to choose by."""

    def __init__(self, limits: QueryLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits

    def on_operation(self) -> Iterator[None]:
        """Bound the parser. Comments are not tokens, hence the characters."""
        options: dict[str, Any] = dict(self.execution_context.parse_options)
        options["max_lexical_tokens"] = self.limits.tokens
        options["max_source_length"] = self.limits.characters
        self.execution_context.parse_options = options  # type: ignore[assignment]
        yield

    def on_validate(self) -> Iterator[None]:
        """Refuse before validation runs: an error that is already there makes Strawberry skip it."""
        context = self.execution_context
        assert context.graphql_document is not None
        problem = self._ambiguity(context.graphql_document) or self._excess(context.graphql_document)
        if problem:
            context.pre_execution_errors = [problem]
        yield

    def _ambiguity(self, document: DocumentNode) -> GraphQLError | None:
        # GraphQL specification, GetOperation: several operations and no name is a request error.
        if self.execution_context._provided_operation_name is None and len(_operations(document)) > 1:
            return BadInput("Several operations were sent: name one in `operationName`.")
        return None

    def _excess(self, document: DocumentNode) -> GraphQLError | None:
        schema = self.execution_context.schema._schema
        measured = CostPass(document, schema=schema, variables=self.execution_context.variables)
        operations = _operations(document)
        fragments = sum(isinstance(node, FragmentDefinitionNode) for node in document.definitions)
        excess = _over("operations", len(operations), self.limits.operations)
        excess = excess or _over("fragments", fragments, self.limits.fragments)
        try:
            for operation in operations if not excess else ():
                excess = excess or self._cost_excess(measured.cost(operation), operation.operation)
        except NestedTooDeeply:
            excess = "The document is nested too deeply."
        return GraphQLError(excess, extensions={"code": Code.VALIDATION.value}) if excess else None

    def _cost_excess(self, cost: QueryCost, kind: OperationType) -> str | None:
        limits = self.limits
        roots = limits.root_mutations if kind is OperationType.MUTATION else limits.root_fields
        checks = (
            ("levels of fields", cost.depth, limits.depth),
            ("fields at the root", cost.root_fields, roots),
            ("fields", cost.fields, limits.fields),
            ("introspections", cost.introspections, limits.introspections),
            ("aliases", cost.aliases, limits.aliases),
            ("directives", cost.directives, limits.directives),
            ("objects by its page sizes", cost.nodes, limits.nodes),
        )
        return next((text for check in checks if (text := _over(*check))), None)


class RememberValid(ValidationCache):
    """Validates each document once, and not at all what is refused already."""

    def on_validate(self) -> Iterator[None]:
        if self.execution_context.pre_execution_errors:
            yield
        else:
            yield from super().on_validate()


def schema_extensions(limits: QueryLimits = DEFAULT_LIMITS) -> list[Any]:
    """What to give to `strawberry.Schema(extensions=...)`: masking around everything, the limits, then validation."""
    return [MaskUnexpected, partial(LimitQuery, limits), partial(RememberValid, REMEMBERED)]


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]


def _over(what: str, count: int, limit: int) -> str | None:
    return f"The document asks for too many {what}: at most {limit} are allowed." if count > limit else None
