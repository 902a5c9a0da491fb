# SPDX-License-Identifier: MIT
"""A result as a table in text and as a bar chart in SVG."""
from xml.sax.saxutils import escape

COLOURS = {"Volley": "#2f6fdb", "ONNX Runtime": "#9a9a9a", "OpenVINO": "#c9a04a"}
WIDTH, BAR, GAP, LEFT = 760, 18, 6, 170


def title_of(table):
    if "net" in table:
        return f"{table['net']}, batch {table['batch']}, 1 thread"
    return f"{table['threads']} thread{'s' if table['threads'] > 1 else ''}"


def note_of(row):
    return row["file"] + (", spinning" if row["spin"] else "")


def table_lines(t):
    lines = ["", title_of(t),
              f"  {'engine':<13}{'':<6}{'min ms':>10}{'median':>10}{'p95':>10}"
              f"{'rounds':>20}{'Volley is':>11}{'load ms':>9}{'RSS MB':>8}{'error':>9}  file"]
    for r in t["rows"]:
        ms, error = r["ms"], r.get("error")
        spread = f"{ms['rounds'][0]:.4g}-{ms['rounds'][1]:.4g}"
        ratio = f"{r['volley_is']:.2f}x" if r["engine"] != "Volley" and "volley_is" in r else ""
        lines.append(f"  {r['engine']:<13}{r['precision']:<6}{ms['min']:>10.4g}"
                     f"{ms['median']:>10.4g}{ms['p95']:>10.4g}{spread:>20}{ratio:>11}"
                     f"{r['load_ms']:>9.1f}{r['rss_mb']:>8.1f}"
                     f"{'' if error is None else format(error, '.1e'):>9}  {note_of(r)}")
    if t["floor"]:
        lines.append(f"  {'fp32 at the peak':<19}{t['floor']['ms']:>10.4g}   "
                     f"{t['floor']['gflop']:.4g} GFLOP")
    if t.get("stages"):
        s = t["stages"]
        lines.append(f"  {s['file']}, {s['width']}x{s['height']}, bytes to boxes, median ms: " +
                     ", ".join(f"{k} {v['median']:.4g}" for k, v in s["ms"].items()))
    for g in t["targets"]:
        lines.append(f"  {'met ' if g['got'] >= g['want'] else 'MISS'} {g['volley']} is "
                     f"{g['got']:.2f}x {g['rival']} (wanted {g['want']}x)")
    return lines


def tiny_lines(result):
    """One line for each net and batch."""
    tables = [t for t in result["tables"] if "net" in t]
    if not tables:
        return []
    lines = ["", "1 thread; median us of the whole batch; Volley auto against the rivals",
             f"  {'net':<10}{'batch':>6}{'peak':>10}" +
             "".join(f"{r['engine'] + ' ' + r['precision']:>19}" for r in tables[0]["rows"])]
    for t in tables:
        cells = "".join(f"{r['ms']['median'] * 1e3:>10.4g}" +
                        (f"{'':>9}" if r["engine"] == "Volley" else f"  {r['volley_is']:>5.2f}x ")
                        for r in t["rows"])
        verdict = "".join("  met" if g["got"] >= g["want"] else f"  MISS {g['want']}x"
                          for g in t["targets"])
        peak = f"{t['floor']['ms'] * 1e3:>10.4g}" if t["floor"] else f"{'':>10}"
        lines.append(f"  {t['net']:<10}{t['batch']:>6}{peak}{cells}{verdict}")
    return lines


def table(result):
    m = result["machine"]
    versions = {r["engine"]: r["version"] for t in result["tables"] for r in t["rows"]}
    lines = [f"{result.get('model', 'tiny nets')}, {m['date']}, commit {result['commit']}",
             f"{m['cpu']}, {m['cores']} cores, {' '.join(m['features'])}",
             ", ".join(f"{k} {v}" for k, v in versions.items()),
             *([f"Volley and OpenVINO held to {result['held_to']}, ONNX Runtime to nothing"]
               if result["held_to"] else []),
             f"{result['rounds']} rounds, engines taking turns"
             f"{', real-time priority' if result['realtime'] else ''}; load average "
             f"{m['load_before']:.1f} to {m['load_after']:.1f}"]
    full = [t for t in result["tables"] if "net" not in t]
    return "\n".join(lines + sum(map(table_lines, full), []) + tiny_lines(result))


def bars(t, y):
    """One group; returns its SVG and the next y."""
    most = max(r["ms"]["median"] for r in t["rows"])
    out = [f'<text x="8" y="{y + 14}" font-weight="bold">{escape(title_of(t))}</text>']
    y += 24
    for r in t["rows"]:
        ms = r["ms"]["median"]
        width = max(1, (WIDTH - LEFT - 150) * ms / most)
        out.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">'
                   f'{escape(r["engine"])} {r["precision"]}</text>'
                   f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" '
                   f'fill="{COLOURS[r["engine"]]}"><title>{escape(note_of(r))}</title></rect>'
                   f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">'
                   f'{f"{ms:.3g} ms" if ms >= 1 else f"{ms * 1e3:.3g} &#181;s"}</text>')
        y += BAR + GAP
    return "\n".join(out), y + 10


def chart(result):
    m = result["machine"]
    y, groups = 48, []
    for t in result["tables"]:
        svg, y = bars(t, y)
        groups.append(svg)
    head = f"{result.get('model', 'Tiny nets')}: median time of one run, shorter is better"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
            f'viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="13" fill="#222">\n'
            f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n'
            f'<text x="8" y="18" font-size="15" font-weight="bold">{escape(head)}</text>\n'
            f'<text x="8" y="36" fill="#666">{escape(m["cpu"])}, {m["date"]}, commit '
            f'{escape(result["commit"])}</text>\n' + "\n".join(groups) + "\n</svg>\n")
