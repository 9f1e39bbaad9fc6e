"""The style sheet of the HTML page; a Python string, so that the page needs no second file."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f5f1; --card: #ffffff; --ink: #1c1e21; --muted: #646b73; --line: #e2e0d9;
  --good: #1f7a4d; --bad: #b3382c; --accent: #c2500f;
  --series-0: #3355bb; --series-1: #d9590d; --series-2: #4f8f4a; --series-3: #8d5aa8;
  --series-4: #7a7f87; --series-5: #a5822a; --series-6: #2f8f9d; --series-7: #b8436f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1e2125; --ink: #e9e7e2; --muted: #9aa2ab; --line: #33383e;
    --good: #6fcf97; --bad: #f08a7e; --accent: #ff9a56;
    --series-0: #8fa9ff; --series-1: #ff9a56; --series-2: #8ccb86; --series-3: #cb9be6;
    --series-4: #a9b0b8; --series-5: #dcbb68; --series-6: #6fc9d6; --series-7: #f08db1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 72px; }
.over { color: var(--muted); font-size: 14px; margin: 0 0 12px; overflow-wrap: anywhere; }
h1 {
  font-size: clamp(22px, 3vw, 31px); line-height: 1.28; font-weight: 650;
  letter-spacing: -0.015em; margin: 0 0 16px; text-wrap: pretty; overflow-wrap: anywhere;
}
h2 { font-size: 20px; font-weight: 650; letter-spacing: -0.01em; margin: 56px 0 6px; }
h3 { font-size: 15px; font-weight: 600; margin: 0 0 10px; }
section > h3 { margin-top: 26px; }
p { margin: 0 0 12px; max-width: 74ch; }
.note { color: var(--muted); font-size: 14px; margin: 10px 0 0; }
.tiles { display: grid; gap: 12px; margin: 32px 0 28px;
  grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.tile, .card, .scroll {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
.tile { padding: 16px 18px 14px; }
.tile .name { color: var(--muted); font-size: 14px; }
.tile .figure { font-size: 30px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em; }
.tile .more { color: var(--muted); font-size: 13.5px; line-height: 1.4; }
.findings { list-style: none; padding: 0; margin: 0; }
.findings li {
  display: grid; grid-template-columns: 12em 1fr; gap: 4px 16px; padding: 10px 0;
  border-top: 1px solid var(--line); overflow-wrap: anywhere;
}
.findings li:last-child { border-bottom: 1px solid var(--line); }
.finding { font-weight: 600; color: var(--muted); }
.finding.ahead { color: var(--good); }
.finding.behind { color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 12px 0 14px; font-size: 14.5px; }
.legend span { display: inline-flex; align-items: center; gap: 8px; overflow-wrap: anywhere; }
.key { flex: none; width: 14px; height: 14px; }
.plots { display: grid; gap: 16px; margin-top: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); }
.plots.small { grid-template-columns: repeat(auto-fit, minmax(min(310px, 100%), 1fr)); }
.card { padding: 18px 18px 10px; margin: 0; min-width: 0; }
.card svg { display: block; width: 100%; height: auto; overflow: visible; }
.card svg text { font-family: inherit !important;
  paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
.card figcaption { color: var(--muted); font-size: 13.5px; line-height: 1.45; margin: 6px 0 8px; }
.scroll { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th, td { padding: 9px 13px; text-align: right; white-space: nowrap; }
th { font-weight: 500; color: var(--muted); vertical-align: bottom; white-space: normal;
  min-width: 5.5em; line-height: 1.3; font-size: 13.5px; }
td.words { white-space: normal; text-align: left; min-width: 22em; overflow-wrap: anywhere; }
table:has(th:nth-child(9)) { font-size: 13.5px; }
table:has(th:nth-child(9)) :is(th, td) { padding-inline: 6px; }
table:has(th:nth-child(9)) .sub { font-size: 12px; }
tbody tr { border-top: 1px solid var(--line); }
th:first-child, td:first-child {
  text-align: left; position: sticky; left: 0; background: var(--card); white-space: normal;
  min-width: 9em; max-width: 19em; overflow-wrap: anywhere;
}
td:first-child { font-weight: 550; }
.sub { color: var(--muted); font-size: 13px; }
td:first-child .key { vertical-align: -2px; margin-right: 8px; }
tr.student td { background: color-mix(in srgb, var(--series-1) 9%, var(--card)); }
details { margin-top: 14px; }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
details ul { padding-left: 1.2em; margin: 8px 0; color: var(--muted); font-size: 14.5px; }
details li { margin-bottom: 6px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px;
  font-size: 14px; margin: 8px 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  main { padding: 28px 16px 48px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: 12px 14px; } .tile .figure { font-size: 24px; }
  .findings li { grid-template-columns: 1fr; }
  .card { padding: 14px 12px 8px; overflow-x: auto; }
  .card svg.wide { min-width: 580px; }
  th, td { padding: 8px 10px; }
  th:first-child, td:first-child { max-width: 11em; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: 8px; }
  h2 { margin-top: 44px; }
}
@media print { body { background: #fff; } .tile, .card { break-inside: avoid; } }
"""
