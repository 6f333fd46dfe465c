"""How pages look, in light and in dark, on a phone and on a wall; and how a live one stays up to date."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f4f5f7;--card:#fff;--text:#1b1f24;--soft:#59636e;--line:#dde1e6;--well:#eceff2;
--good:#1a7f37;--warn:#9a6700;--bad:#c62828;--calm:#0b5cad;--good-bg:#dcf5e3;--warn-bg:#fff3c9;--bad-bg:#ffe3e0;--calm-bg:#dcecfb}
@media(prefers-color-scheme:dark){:root{--bg:#0e1217;--card:#171c23;--text:#e6eaf0;--soft:#929ca8;--line:#2a313b;--well:#232a33;
--good:#4cc267;--warn:#dfaa36;--bad:#ff7b72;--calm:#6cb6ff;--good-bg:#12301c;--warn-bg:#33280b;--bad-bg:#3a1614;--calm-bg:#11273f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:20px 16px 32px}
h1{font-size:26px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:12px;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:0 0 10px;font-weight:600}
p{margin:0}.soft{color:var(--soft)}.num{font-variant-numeric:tabular-nums}code{font:13px/1.4 ui-monospace,Menlo,monospace}
header{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;margin-bottom:6px}
.why{margin:0 0 16px;font-size:16px;overflow-wrap:anywhere}
.pill{display:inline-block;border-radius:99px;padding:2px 12px;font-weight:600;font-size:14px;white-space:nowrap}
.pill.small{font-size:12px;padding:1px 9px}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.calm{color:var(--calm)}
.pill.good{background:var(--good-bg)}.pill.warn{background:var(--warn-bg)}.pill.bad{background:var(--bad-bg)}.pill.calm{background:var(--calm-bg)}
.note{border-left:4px solid;border-radius:6px;padding:9px 12px;margin:0 0 10px;overflow-wrap:anywhere}
.note.good{background:var(--good-bg)}.note.warn{background:var(--warn-bg)}.note.bad{background:var(--bad-bg)}.note.calm{background:var(--calm-bg)}
.note span{color:var(--text)}.note b{margin-right:6px}
.cards{display:grid;gap:12px;grid-template-columns:repeat(12,1fr);margin-top:16px}
.stack{display:flex;flex-direction:column;gap:12px;grid-column:span 12;min-width:0}.stack>:last-child{flex:1}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;grid-column:span 12;min-width:0}
@media(min-width:760px){.third{grid-column:span 4}.half{grid-column:span 6}.wide{grid-column:span 8}}
.big{font-size:34px;line-height:1.1;font-weight:650;font-variant-numeric:tabular-nums}
.big small{font-size:15px;font-weight:400;color:var(--soft)}
.bar{display:flex;height:8px;border-radius:4px;overflow:hidden;background:var(--well);margin:10px 0}
.bar i{display:block;height:100%}.bg-good{background:var(--good)}.bg-warn{background:var(--warn)}.bg-bad{background:var(--bad)}.bg-calm{background:var(--calm)}.bg-soft{background:var(--soft)}
.load{display:grid;grid-template-columns:38px minmax(60px,1fr);align-items:center}.load .bar{margin:0}
.key{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px;color:var(--soft)}
.key+p{margin-top:8px}.key i{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px}
.meter{display:grid;grid-template-columns:minmax(84px,auto) 1fr 46px;gap:3px 10px;align-items:center;font-size:13px}
.meter .bar{margin:0}.meter b{text-align:right;font-weight:500}
.scroll{overflow-x:auto;margin:0 -16px;padding:0 16px}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-size:12px;color:var(--soft);font-weight:500;text-align:left;padding:0 14px 4px 0;white-space:nowrap}
td{border-top:1px solid var(--line);padding:6px 14px 6px 0;vertical-align:top}
td.num,th.num{text-align:right}td:not(:last-child){white-space:nowrap}td:last-child,th:last-child{padding-right:0}
dl{display:grid;grid-template-columns:auto 1fr;gap:4px 14px;margin:0;font-size:14px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
ol{list-style:none;margin:0;padding:0}ol li{border-top:1px solid var(--line);padding:7px 0}ol li:first-child{border-top:0;padding-top:0}
footer{margin-top:18px;font-size:13px;color:var(--soft);display:flex;flex-wrap:wrap;gap:2px 18px}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin-top:12px;padding:0 16px}
summary{padding:12px 0;cursor:pointer;font-weight:600}details[open]{padding-bottom:16px}details .card{background:var(--bg)}
details .cards{margin-top:8px}details .why{margin:4px 0 12px}
a{color:var(--calm);text-decoration:none}#lost{position:sticky;top:0;margin:0;border-radius:0}#lost[hidden]{display:none}
@media print{body{background:#fff}details{break-inside:avoid}}
"""

EVERY_S: Final = 5

SCRIPT: Final = """
"use strict";
let heard = Date.now();
async function look() {
  const lost = document.getElementById("lost");
  try {
    const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout(4000)});
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (answer.ok && fresh) {
      document.querySelector("main").replaceWith(fresh);
      heard = Date.now();
      lost.hidden = true;
      return;
    }
  } catch (error) { /* told below */ }
  lost.hidden = false;
  lost.textContent = `No answer for ${Math.round((Date.now() - heard) / 1000)} s. This is what it said last.`;
}
setInterval(look, EVERY_MS);
""".replace("EVERY_MS", str(EVERY_S * 1000))


def _source(text: str) -> str:
    """What a Content-Security-Policy calls exactly this piece of a page (CSP 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


FILE_POLICY: Final = (
    f"default-src 'none'; style-src {_source(STYLE)}; style-src-attr 'unsafe-inline'; img-src data:"
)
"""Content-Security-Policy of a page that is a file. Bars have their length as an attribute."""

LIVE_POLICY: Final = (
    f"{FILE_POLICY}; script-src {_source(SCRIPT)}; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of one that a node serves."""
