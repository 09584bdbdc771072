"""What a seed has reached: a simulation in which nothing happens would prove nothing."""

from collections import Counter

from tests.simulation.world import World


def happened(world: World) -> Counter[str]:
    """Counts, by name."""
    rows, counts = world.memory.rows, Counter[str]()
    for kind in ("training", "generation"):
        for row in rows(f"SELECT status, credits_spent FROM {kind}s"):
            free = ", free" if row["status"] == "COMPLETED" and not row["credits_spent"] else ""
            counts[f"{kind} {row['status']}{free}"] += 1
    for posts in world.provider.posts.values():
        counts.update(f"post {post}" for post in posts)
    for kind, _ in world.engine.records:
        counts[f"run {kind}"] += 1
    counts["paid jobs"] += len(world.provider.jobs)
    counts["killed processes"] += sum(life.dead for life in world.lives)
    counts["stopped processes"] += sum(life.stopped_until > 0 for life in world.lives)
    counts["runs begun again"] += sum(record.turn - 1 for record in world.engine.records.values() if record.turn)
    counts["retries"] += rows("SELECT COUNT(*) FROM trainings WHERE retry_of NOT NULL")[0][0]
    counts["calls given up as lost"] += rows("SELECT COUNT(*) FROM submissions WHERE lost")[0][0]
    counts["days of allowance"] += rows("SELECT COUNT(*) FROM ledger_accounts WHERE day NOT NULL")[0][0]
    if world.users is not None:
        counts["watchers"] += len(world.users.watchers)
        counts["events shown"] += sum(len(watcher.seen) for watcher in world.users.watchers)
    return counts
