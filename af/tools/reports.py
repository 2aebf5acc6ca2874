"""A profile in the formats other programs show: speedscope, Chrome's trace viewer, and a picture."""

from af.tools.plot import Bar, Panel, svg
from af.tools.profiling import Profile

_SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(profile: Profile) -> dict[str, object]:
    """One row through the network as an evented profile: speedscope.app and its offline copy open it."""
    titles = [profile.name, "call", *(f"{cost.layer}: {cost.title}" for cost in profile.layers)]
    events: list[dict[str, object]] = [{"type": "O", "frame": 0, "at": 0.0}]
    now = 0.0
    for frame, duration in enumerate((profile.call_us, *(cost.time_us for cost in profile.layers)), start=1):
        events.append({"type": "O", "frame": frame, "at": now})
        now += duration
        events.append({"type": "C", "frame": frame, "at": now})
    events.append({"type": "C", "frame": 0, "at": now})
    return {
        "$schema": _SPEEDSCOPE_SCHEMA,
        "name": profile.name,
        "exporter": "af-profile",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": title} for title in titles]},
        "profiles": [
            {
                "type": "evented",
                "name": f"{profile.name}, one row",
                "unit": "microseconds",
                "startValue": 0.0,
                "endValue": now,
                "events": events,
            }
        ],
    }


def chrome_trace(profile: Profile) -> dict[str, object]:
    """The same for chrome://tracing and Perfetto: complete events in microseconds."""
    events: list[dict[str, object]] = []
    now = 0.0
    spans: list[tuple[str, float, dict[str, int]]] = [("call", profile.call_us, {})]
    spans += [
        (
            f"{cost.layer}: {cost.title}",
            cost.time_us,
            {"fuel": cost.fuel, "weights_bytes": cost.weights_bytes},
        )
        for cost in profile.layers
    ]
    for name, duration, facts in spans:
        event = {"name": name, "cat": "layer", "ph": "X", "ts": now, "dur": duration, "pid": 1, "tid": 1}
        events.append({**event, "args": facts})
        now += duration
    whole = {"name": profile.name, "cat": "agent", "ph": "X", "ts": 0.0, "dur": now, "pid": 1, "tid": 1}
    return {"displayTimeUnit": "ns", "traceEvents": [{**whole, "args": {}}, *events]}


def picture(profile: Profile) -> str:
    """Layers, instances and engines as bars."""
    layers = (
        Bar("call, input and output", profile.call_us, f"{profile.call_us:.2f} us"),
        *(Bar(f"{c.layer}: {c.title}", c.time_us, f"{c.time_us:.2f} us") for c in profile.layers),
    )
    costs = profile.instances
    instances = [
        ("warm instance", costs.warm_us),
        ("fresh state", costs.renewed_us),
        ("fresh instance", costs.fresh_us),
    ]
    if costs.pooled_us is not None:
        instances.append(("fresh out of a pool", costs.pooled_us))
    instances.append(("first call", costs.first_us))
    panels = [
        Panel("One row, by layer", layers),
        Panel(
            f"By kind of instance (compiled once in {costs.compile_us / 1000:.1f} ms)",
            tuple(Bar(name, us, f"{us:,.1f} us") for name, us in instances),
        ),
    ]
    for batch in sorted({cost.batch for cost in profile.engines}):
        bars = tuple(
            Bar(cost.engine, cost.timing.median_us, f"{cost.timing.median_us:,.1f} us")
            for cost in sorted(profile.engines, key=lambda c: c.timing.median_us if c.timing else 0)
            if cost.batch == batch and cost.timing is not None
        )
        panels.append(Panel(f"Engines, batch {batch}", bars))
    return svg(f"{profile.name}: where the time goes", panels)
