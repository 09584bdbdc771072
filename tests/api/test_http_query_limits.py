"""The bounds on a document, however it is written, and that they cost little to check."""

import time
from pathlib import Path

import pytest
from graphql import get_introspection_query

from tests.api.http_stage import SCHEMA, code_of, post, stage


def _nested(levels: int) -> str:
    return "{ tree " + "{ parent " * (levels - 2) + "{ name }" + " }" * (levels - 2) + " }"


def _many(count: int, text: str) -> str:
    """`text` repeated, with % as the number of the copy and # as the next one."""
    return " ".join(text.replace("%", str(number)).replace("#", str(number + 1)) for number in range(count))


def _page(first: object) -> str:
    return f"{{ tree {{ kids(first: {first}) {{ name kids(first: 20) {{ name }} }} }} }}"


SPREAD = f"fragment f on Tree {{ {_many(10, 'a%: name')} }}"

CASES = {
    "depth": (_nested(12), _nested(13)),
    "aliases": (f"{{ tree {{ {_many(30, 'a%: name')} }} }}", f"{{ tree {{ {_many(31, 'a%: name')} }} }}"),
    "aliases in fragments": (
        f"{{ tree {{ ...f ...f ...f }} }} {SPREAD}",
        f"{{ tree {{ ...f ...f ...f ...f }} }} {SPREAD}",
    ),
    "root fields": (f"{{ {_many(20, 'hello')} }}", f"{{ {_many(21, 'hello')} }}"),
    "root mutations": (f"mutation {{ {_many(5, 'touch')} }}", f"mutation {{ {_many(6, 'touch')} }}"),
    "root mutations in a fragment": (
        "mutation { ...m ...m } fragment m on Mutation { touch touch }",
        "mutation { ...m ...m ...m } fragment m on Mutation { touch touch }",
    ),
    "fields": (
        f"{{ tree {{ {_many(24, '...a')} {_many(19, 'name')} }} }} fragment a on Tree {{ {_many(20, 'name')} }}",
        f"{{ tree {{ {_many(24, '...a')} {_many(20, 'name')} }} }} fragment a on Tree {{ {_many(20, 'name')} }}",
    ),
    "directives": (
        f"{{ tree {{ {_many(20, 'a%: name @skip(if: false)')} }} }}",
        f"{{ tree {{ {_many(21, 'a%: name @skip(if: false)')} }} }}",
    ),
    "page sizes": (_page(95), _page(96)),
    "default page sizes": (
        "{ tree { kids { kids { name } } } }",
        "{ tree { kids { kids { kids { name } } } } }",
    ),
    "introspections": (f"{{ {_many(3, '__schema { __typename }')} }}", f"{{ {_many(4, '__schema { __typename }')} }}"),
    "operations": (_many(5, "query a% { hello }"), _many(6, "query a% { hello }")),
    "fragments": (
        "{ ...f0 } " + _many(29, "fragment f% on Query { ...f# }") + "fragment f29 on Query { hello }",
        "{ ...f0 } " + _many(30, "fragment f% on Query { ...f# }") + "fragment f30 on Query { hello }",
    ),
    "inline fragments": ("{" + "...{" * 63 + "hello" + "}" * 64, "{" + "...{" * 64 + "hello" + "}" * 65),
}


@pytest.mark.parametrize(("allowed", "refused"), CASES.values(), ids=CASES.keys())
async def test_a_limit_is_exact(tmp_path: Path, allowed: str, refused: str) -> None:
    """The last document within a limit runs, the first over it is refused before validation."""
    subject = stage(tmp_path)
    within = await post(subject, allowed, operationName="a0" if allowed.startswith("query a") else None)
    assert "errors" not in within.json(), within.text
    over = await post(subject, refused, operationName="a0" if refused.startswith("query a") else None)
    assert (over.status_code, code_of(over)) == (400, "GRAPHQL_VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("variables", "default", "ok"),
    [
        ({"n": 95}, "", True),
        ({"n": 96}, "", False),
        ({}, " = 95", True),
        ({}, " = 96", False),
        ({"n": 10**9}, "", False),
        ({"n": -5}, "", True),
    ],
)
async def test_page_sizes_in_variables_count(tmp_path: Path, variables: dict[str, int], default: str, ok: bool) -> None:
    """A page size is bounded wherever it is written."""
    response = await post(stage(tmp_path), f"query($n: Int{default}) {_page('$n')}", variables=variables)
    assert ok == ("errors" not in response.json())


async def test_introspection_passes(tmp_path: Path) -> None:
    """What GraphiQL and code generators send is answered in full."""
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    response = await post(stage(tmp_path), query)
    names = {type["name"] for type in response.json()["data"]["__schema"]["types"]}
    assert {"Query", "Tree", "Upload"} <= names


DOUBLING = "{ ...f0 } " + _many(28, "fragment f% on Query { ...f# ...f# }")

HOSTILE = {
    "doubling fragments": DOUBLING + " fragment f28 on Query { hello }",
    "doubling introspection": "{ __schema { types { ...a0 } } } fragment a20 on __Type { name } "
    + _many(20, "fragment a% on __Type { ...a# x%: ofType { ...a# } }"),
    "fragment cycle": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "self reference": "{ tree { ...a } } fragment a on Tree { parent { ...a } }",
    "unknown fragment": "{ ...nope }",
    "unknown types": "{ ... on Nope { x } ...a } fragment a on Nope { y }",
    "deep braces": "{a" * 10_000,
    "deep list": "{ hello(name: " + "[" * 5_000,
    "10,000 aliases": "{" + "".join(f"a{n}:hello " for n in range(10_000)) + "}",
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_documents_are_refused_quickly(tmp_path: Path, query: str) -> None:
    """Linear, never exponential: a refusal (or a plain error) well under a second."""
    began = time.perf_counter()
    response = await post(stage(tmp_path), query)
    assert response.status_code == 400
    assert code_of(response) in ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")
    assert time.perf_counter() - began < 1


async def test_doubling_without_fields_costs_nothing(tmp_path: Path) -> None:
    """Empty selection sets are valid in graphql-core 3.3: the same doubling then runs, in linear time."""
    began = time.perf_counter()
    response = await post(stage(tmp_path), DOUBLING + " fragment f28 on Query { }")
    assert response.json() == {"data": {}}
    assert time.perf_counter() - began < 1


async def test_the_limits_hold_without_http(tmp_path: Path) -> None:
    """They are part of the schema's extensions, so every transport has them."""
    result = await SCHEMA.execute(_nested(13))
    assert result.errors is not None
    assert result.errors[0].extensions == {"code": "GRAPHQL_VALIDATION_FAILED"}
