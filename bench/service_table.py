"""The service's numbers as a table."""

import service
import table


def row(case, peer, ours, target, met):
    return table.Row(case, peer, ours, "", target, met)


def milliseconds(value):
    return f"{value:.1f} ms"


def rows(results):
    if hooks := results.get("webhooks"):
        steady, mine = hooks["steady"], hooks["ours"]["rate"]
        theirs = max(hooks["peer"].values(), key=lambda peer: peer["rate"])["rate"]
        lost = steady["sent"] - hooks["stored"]
        case = f"{service.RATE} webhooks/s for {service.SECONDS} s: p99 (median)"
        yield row(case, "", f"{milliseconds(steady['p99_ms'])} ({milliseconds(steady['p50_ms'])})", f"≤ {service.P99} ms", steady["p99_ms"] <= service.P99)
        yield row("… sent, not answered 202 or not stored", "", f"{steady['sent']}, {max(lost, steady['sent'] - steady['answers'].get('202', 0))}", "none lost", service.kept_up(steady) and lost == 0)
        ratio = mine / theirs if theirs else float("inf")
        yield table.Row(f"Most webhooks/s with p99 ≤ {service.P99} ms", f"{theirs}/s", f"{mine}/s", f"{ratio:.1f} ×", "≥ 3 ×", ratio >= 3)
    if start := results.get("start"):
        yield row("202 → probe container running, idle server, warm mirror", "", table.seconds(start["to_container"]), "≤ 1 s", start["to_container"]["median"] <= 1)
        yield row("… → job claimed", "", table.seconds(start["to_claim"], 3), "", True)
    if claims := results.get("claims"):
        before, after = claims["before"], claims["after"]
        case = f"Claim, {claims['pending']:,} pending: median (p99)"
        yield row(case, "", f"{before['p50_ms']:.2f} ms ({before['p99_ms']:.2f})", "≤ 5 ms", before["p50_ms"] <= 5)
        grown = after["p50_ms"] / before["p50_ms"]
        yield table.Row(f"… beside {claims['finished']:,} finished ones", "", f"{after['p50_ms']:.2f} ms ({after['p99_ms']:.2f})", f"{grown:.2f} ×", "no growth", grown <= 1.2)
    if idle := results.get("idle"):
        yield row("Idle: resident memory", "", f"{idle['resident_mb']:.0f} MB", "≤ 60 MB", idle["resident_mb"] <= 60)
        yield row("… from exec to healthy", "", table.seconds(idle["to_healthy"]), "≤ 1 s", idle["to_healthy"]["median"] <= 1)
        rate = idle["queries_per_second"]
        yield row("… queries a second, heartbeats included", "", f"{rate:.2f}", "< 1", rate < 1)
    if takeover := results.get("takeover"):
        took = takeover["seconds"]
        case = f"Takeover after kill -9 (stale after {service.STALE_AFTER:.0f} s, looked for every {service.RECOVERY} s)"
        yield row(case, "", table.seconds(took), f"≤ {takeover['bound']} s", took["max"] <= takeover["bound"])


def lines(results):
    """The table, if anything of it was measured."""
    found = [str(row) for row in rows(results)]
    if not found:
        return
    yield "| the service | FastAPI + asyncpg | bisectd | ratio | target | |"
    yield "|---|---|---|---|---|---|"
    yield from found
    yield ""
    if hooks := results.get("webhooks"):
        told = "; ".join(f"{workers} workers {peer['rate']}/s" for workers, peer in hooks["peer"].items())
        yield f"The peer, by its number of processes: {told}. After the 30 s `bisectd` had its inbox worked off {hooks['worked_off_seconds']:.1f} s later; the peer only stores."
        yield ""
