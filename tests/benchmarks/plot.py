"""Bars as SVG, on a logarithmic scale, with nothing but text formatting."""

from html import escape
from math import floor, log10

from tests.benchmarks.comparison import medians

WIDTH, LABEL, BAR, GAP, HEAD = 860, 150, 18, 14, 34
COLOURS = {
    "swarm": "#1f5f8b",
    "swarm relaxed": "#5aa0c8",
    "ray": "#c0703a",
    "dask": "#b59b2c",
    "celery": "#5f8a4d",
}
OTHER = "#888888"
CASES = ("throughput", "fanout", "chain", "payload", "latency", "inference")


def svg(lines):
    """Rates of each case, longer is faster."""
    found = medians(lines)
    groups = []
    for case in CASES:
        bars = [
            (name, figures["per_s"][0])
            for (name, of), figures in found.items()
            if of == case and figures.get("per_s", (0, ""))[0] > 0
        ]
        if bars:
            groups.append((case, sorted(bars, key=lambda bar: -bar[1])))
    values = [value for _, bars in groups for _, value in bars] or [1.0]
    low, high = floor(log10(min(values))), log10(max(values))
    scale = (WIDTH - LABEL - 110) / max(high - low, 0.1)
    height = HEAD + sum(len(bars) * (BAR + 2) + BAR + GAP for _, bars in groups) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="14" fill="#222">per second, logarithmic; longer is faster</text>',
    ]
    y = HEAD
    for case, bars in groups:
        parts.append(f'<text x="10" y="{y + 13}" font-weight="bold" fill="#222">{escape(case)}</text>')
        y += BAR
        for name, value in bars:
            length = max(2.0, (log10(value) - low) * scale)
            colour = COLOURS.get(name, OTHER)
            parts += [
                f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end" fill="#444">{escape(name)}</text>',
                f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>',
                f'<text x="{LABEL + length + 6:.1f}" y="{y + 13}" fill="#222">{value:,.0f}</text>',
            ]
            y += BAR + 2
        y += GAP
    return "\n".join([*parts, "</g></svg>"]) + "\n"
