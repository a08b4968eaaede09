"""A league as one HTML file: it needs no network and no script."""

from __future__ import annotations

from html import escape

from poke.run.afterwards.league.standings import Standings

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #66758a; --line: #dde3ea; --back: #fff; --won: 37 116 84;
  --lost: 176 60 52; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #93a1b3; --line: #323b48; --back: #151a21;
  --won: 86 190 145; --lost: 226 112 104; } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } p { color: var(--soft); margin: .3rem 0 1.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; } th[scope=row] { text-align: left; } thead th { color: var(--soft); }
td.share { min-width: 2.6rem; } td.self { color: var(--soft); }
svg { display: block; width: 14rem; height: 1.2rem; } svg line { stroke: var(--soft); stroke-width: 2; }
svg circle { fill: var(--ink); }
"""


def page(table: Standings, *, title: str, about: str) -> str:
    """Return the page.

    Args:
        table: what it shows.
        title: its heading.
        about: a line below it.
    """
    numbers = "".join(
        f'<th scope="col" title="{escape(name)}">{i + 1}</th>'
        for i, name in enumerate(table.players)
    )
    rows = "\n".join(_row(table, i) for i in range(len(table.players)))
    drawn, played = int(table.drawn.sum()) // 2, int(table.played.sum()) // 2
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(about)}</p>
<div class="wide">
<table>
<thead><tr><th></th><th scope="row">player</th><th>Elo</th><th>95 %</th><th></th>{numbers}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<p>Per cent of battles won by who stands left against who stands above; {drawn} of {played} battles were drawn.
Elo: the model of Bradley and Terry with draws as halves, mean 1,000; intervals by bootstrap.</p>
</body>
</html>
"""


def _row(table: Standings, i: int) -> str:
    cells = "".join(_cell(table, i, j) for j in range(len(table.players)))
    return (
        f'<tr><td>{i + 1}</td><th scope="row">{escape(table.players[i])}</th>'
        f"<td>{table.rating[i]:.0f}</td><td>{table.low[i]:.0f} to {table.high[i]:.0f}</td>"
        f"<td>{_bar(table, i)}</td>{cells}</tr>"
    )


def _cell(table: Standings, i: int, j: int) -> str:
    share = None if i == j else table.share(i, j)
    if share is None:
        return '<td class="self">·</td>'
    colour, strength = ("--won" if share >= 0.5 else "--lost"), abs(share - 0.5)
    said = f"{table.won[i, j]} won, {table.drawn[i, j]} drawn, {table.won[j, i]} lost"
    against = f"{table.players[i]} against {table.players[j]}: {said}"
    return (
        f'<td class="share" style="background: rgb(var({colour}) / {strength:.2f})" '
        f'title="{escape(against)}">{100 * share:.1f}</td>'
    )


def _bar(table: Standings, i: int) -> str:
    """A rating and its interval on the scale of all of them."""
    low, high = float(table.low.min()), float(table.high.max())
    x, start, end = (
        2 + 196 * (float(value[i]) - low) / max(high - low, 1.0)
        for value in (table.rating, table.low, table.high)
    )
    return (
        '<svg viewBox="0 0 200 16" preserveAspectRatio="none" aria-hidden="true">'
        f'<line x1="{start:.1f}" y1="8" x2="{end:.1f}" y2="8"/><circle cx="{x:.1f}" cy="8" r="3"/></svg>'
    )
