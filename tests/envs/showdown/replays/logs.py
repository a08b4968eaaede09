"""Logs of battles as servers save them, written by hand."""

SHORT = """\
|j|☆Ann
|j|☆Bob
|player|p1|Ann|102|1502
|player|p2|Bob|169|1311
|teamsize|p1|3
|teamsize|p2|3
|gametype|singles
|gen|1
|tier|[Gen 1] Random Battle
|rule|HP Percentage Mod: HP is shown in percentages
|
|t:|1700000000
|start
|switch|p1a: Snorlax|Snorlax, L74|100/100
|switch|p2a: Starmie|Starmie, L68|100/100
|turn|1
|
|t:|1700000001
|move|p2a: Starmie|Thunder Wave|p1a: Snorlax
|-status|p1a: Snorlax|par
|move|p1a: Snorlax|Body Slam|p2a: Starmie
|-damage|p2a: Starmie|61/100
|
|upkeep
|turn|2
|
|t:|1700000002
|switch|p1a: Gengar|Gengar, L70|100/100
|move|p2a: Starmie|Psychic|p1a: Gengar
|-supereffective|p1a: Gengar
|-damage|p1a: Gengar|31/100
|
|upkeep
|turn|3
|
|t:|1700000003
|move|p2a: Starmie|Psychic|p1a: Gengar
|-supereffective|p1a: Gengar
|-damage|p1a: Gengar|0 fnt
|faint|p1a: Gengar
|
|t:|1700000004
|switch|p1a: Snorlax|Snorlax, L74|100/100 par
|turn|4
|
|t:|1700000005
|switch|p2a: Farfetch'd|Farfetch'd, L79|100/100
|cant|p1a: Snorlax|par
|
|upkeep
|turn|5
|
|t:|1700000006
|move|p2a: Farfetch'd|Slash|p1a: Snorlax
|-crit|p1a: Snorlax
|-damage|p1a: Snorlax|52/100 par
|move|p1a: Snorlax|Earthquake|p2a: Farfetch'd
|-immune|p2a: Farfetch'd
|
|upkeep
|turn|6
|win|Bob
"""
# What either player chose: places in the order of appearance, moves in the order of discovery; -1 does not show.
CHOSEN = {0: [6, 1, -1, 1, -1, 7, -1], 1: [6, 7, 7, 1, 6, -1]}


def lines(text, *more, after="|start"):
    """Return a log with lines put in after each line that begins so."""
    put = []
    for line in text.splitlines():
        put.append(line)
        if line.startswith(after):
            put += more
    return "\n".join(put) + "\n"
