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


# For a format with teams of one's own and team preview: who hides behind an Illusion, who copies, who changes its form.
TEAMS = """\
=== [gen9ou] hiding ===

Snorlax @ Leftovers
Ability: Immunity
EVs: 252 HP / 252 Atk / 4 SpD
Adamant Nature
- Body Slam
- Rest
- Earthquake
- Crunch

Zoroark-Hisui @ Life Orb
Ability: Illusion
Tera Type: Ghost
EVs: 252 SpA / 252 Spe / 4 HP
Timid Nature
- Shadow Ball
- Hyper Voice
- U-turn
- Will-O-Wisp

Garchomp @ Rocky Helmet
Ability: Rough Skin
EVs: 252 HP / 252 Def / 4 SpD
Impish Nature
- Earthquake
- Stealth Rock
- Dragon Tail
- Spikes

Ditto @ Choice Scarf
Ability: Imposter
EVs: 252 HP / 4 Def / 252 Spe
- Transform

Slowbro @ Heavy-Duty Boots
Ability: Regenerator
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Surf
- Slack Off
- Thunder Wave
- Future Sight

Rotom-Wash @ Leftovers
Ability: Levitate
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Hydro Pump
- Volt Switch
- Will-O-Wisp
- Protect

=== [gen9ou] plain ===

Pikachu @ Light Ball
Ability: Static
EVs: 252 SpA / 252 Spe / 4 HP
Timid Nature
- Thunderbolt
- Surf
- Volt Switch
- Nuzzle

Magnezone @ Air Balloon
Ability: Magnet Pull
EVs: 252 SpA / 252 Spe / 4 HP
Modest Nature
- Thunderbolt
- Flash Cannon
- Volt Switch
- Thunder Wave

Blissey @ Leftovers
Ability: Natural Cure
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Seismic Toss
- Soft-Boiled
- Calm Mind
- Thunder Wave

Gyarados @ Leftovers
Ability: Intimidate
EVs: 252 Atk / 252 Spe / 4 HP
Jolly Nature
- Dragon Dance
- Waterfall
- Taunt
- Earthquake

Scizor @ Choice Band
Ability: Technician
EVs: 252 HP / 252 Atk / 4 SpD
Adamant Nature
- Bullet Punch
- U-turn
- Knock Off
- Close Combat

Hatterene @ Leftovers
Ability: Magic Bounce
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Psychic Noise
- Draining Kiss
- Nuzzle
- Calm Mind
"""
