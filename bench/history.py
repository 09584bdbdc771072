"""A page of 50 pictures out of 100,000 on PostgreSQL, through the API of a real server, measured against its limit.

Run it with `.venv/bin/python bench/history.py [--rows 100000]`; bench/README.md says how to read it.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from likeness.cli.child_server import running_server  # noqa: E402
from likeness.db import migrate  # noqa: E402
from likeness.observability import configure_logging  # noqa: E402
from tests.services_for_tests import create_database, drop_database, running_postgres  # noqa: E402

PAGES, LIMIT_MS = 100, 30
SETTINGS = {"FAL_MODE": "sandbox", "SANDBOX_SPEED": "600", "DAILY_CREDITS": "1000"}
PLAIN = "id type status prompt imageUrl thumbnailUrl permanent width height createdAt"
NESTED = f"{PLAIN} attempts {{ model falJobId }} loraModels {{ id name training {{ id }} }}"
CASES = {
    "a gallery's fields": ("", "", PLAIN),
    "with totalCount": ("", "totalCount", PLAIN),
    "with attempts, models, trainings": ("", "", NESTED),
    "of one type": ("type: LORA", "", PLAIN),
    "of one status, rare": ("status: FAILED", "", PLAIN),
    "of one model": ("modelId: $model", "", PLAIN),
}
ID = "(lpad(to_hex(1700000000000 + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid"
FILL = [
    f"""INSERT INTO generations SELECT (jsonb_populate_record(g, jsonb_build_object(
        'id', {ID}, 'run_id', 'run-' || n, 'asset_name', 'bench_' || n, 'fal_job_id', 'job-' || n,
        'type', CASE WHEN n % 3 = 0 THEN 'LORA' ELSE 'CUSTOM_PROMPT' END,
        'status', CASE WHEN n % 500 = 0 THEN 'FAILED' ELSE 'COMPLETED' END))).*
        FROM generations g, generate_series(1, %(rows)s) n WHERE g.id = %(id)s""",
    f"""INSERT INTO submissions SELECT (jsonb_populate_record(s, jsonb_build_object(
        'id', {ID}, 'job_id', {ID}, 'request_id', 'request-' || n))).*
        FROM submissions s, generate_series(1, %(rows)s) n WHERE s.job_id = %(id)s AND s.attempt = 0""",
    f"""INSERT INTO lora_models (id, owner_id, name, trigger_word, base_model, status, created_at)
        SELECT {ID}, owner_id, 'Me ' || n, 'ME', 'flux-lora-fast-training', 'COMPLETED', now()
        FROM generations, generate_series(1, 20) n WHERE generations.id = %(id)s""",
    f"""INSERT INTO generation_loras (id, generation_id, model_id, scale, position)
        SELECT {ID}, {ID}, {ID.replace("+ n", "+ n % 20 + 1").replace("(n)", "(n % 20 + 1)")}, 1, 0
        FROM generate_series(1, %(rows)s) n""",
    "VACUUM ANALYZE",  # as autovacuum does: counting reads the index alone then
]
GENERATE = (
    """mutation { generateImage(input: {prompt: "a lighthouse"}) { generations { id } userErrors { message } } }"""
)


async def ask(client: httpx.AsyncClient, document: str, **variables: Any) -> dict[str, Any]:
    """The data of an operation."""
    answer = await client.post("/graphql", json={"query": document, "variables": variables})
    body = answer.json()
    assert "errors" not in body, body
    return dict(body["data"])


async def drawn(client: httpx.AsyncClient) -> None:
    """One finished picture, after which the others are made."""
    await ask(client, GENERATE)
    while True:
        [row] = (await ask(client, "{ generations { nodes { status } } }"))["generations"]["nodes"]
        if row["status"] == "COMPLETED":
            return
        await asyncio.sleep(0.2)


def fill(url: str, rows: int) -> None:
    """Copy the picture `rows` times, all of one owner: the worst case."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT id FROM generations").fetchone()
        assert found is not None
        for statement in FILL:
            query = statement.replace("%(id)s", f"'{found[0]}'").replace("%(rows)s", str(rows))
            connection.execute(query.encode())


async def measure(client: httpx.AsyncClient, case: str, model: str) -> None:
    """Walk over pages of 50 and print the answer times, in milliseconds, as the client sees them."""
    arguments, extra, node = CASES[case]
    variable = ", $model: ID" if "$model" in arguments else ""
    document = f"""query($after: String{variable}) {{ generations(first: 50, after: $after, {arguments}) {{ {extra}
      nodes {{ {node} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
    times, cursor = [], None
    for _ in range(PAGES):
        begin = time.perf_counter()
        variables = {"after": cursor} | ({"model": model} if variable else {})
        page = (await ask(client, document, **variables))["generations"]
        times.append((time.perf_counter() - begin) * 1000)
        cursor = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    verdict = "ok" if p95 < LIMIT_MS else "OVER"
    print(f"{case:34} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   limit {LIMIT_MS} ms   {verdict}", flush=True)


async def run(url: str, folder: Path, rows: int) -> None:
    """Serve, fill, measure."""
    await migrate(url)
    environ = dict(os.environ) | SETTINGS | {"DATA_DIR": str(folder / "data"), "DATABASE_URL": url}
    async with (
        running_server(environ=environ, log=folder / "server.log") as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        await drawn(client)
        fill(url, rows)
        models = (await ask(client, "{ models(first: 1) { nodes { id } } }"))["models"]["nodes"]
        print(f"{rows} pictures of one owner, {PAGES} pages of 50 each, one client")
        for case in CASES:
            await measure(client, case, models[0]["id"])


def main() -> None:
    """Run it on the machine's PostgreSQL, or on a private one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    configure_logging()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; idle is below 0.5")
    with tempfile.TemporaryDirectory() as folder, running_postgres() as base:
        url = create_database(base)
        try:
            asyncio.run(run(url, Path(folder), options.rows))
        finally:
            drop_database(base, url=url)


if __name__ == "__main__":
    main()
