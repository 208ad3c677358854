"""How a report looks."""

STYLE = """
:root {
  --page: #ffffff; --ink: #1d2127; --faint: #69717d; --line: #e3e6ea; --panel: #f6f7f9;
  --accent: #0072b2; --up: #00795a; --down: #b34700;
  --keyword: #8a3fa0; --string: #00795a; --number: #0067a3; --ins: #e3f4ee; --del: #fbeae0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --ink: #e4e7eb; --faint: #98a1ad; --line: #2b3038; --panel: #1b1f26;
    --accent: #56b4e9; --up: #2fc29b; --down: #e8834a;
    --keyword: #d3a3e4; --string: #5fcfae; --number: #7cc4ee; --ins: #16352d; --del: #3d2418;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 {
  font-size: 1.2rem; margin: 3.2rem 0 0.9rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; margin: 1.6rem 0 0.3rem; }
p { margin: 0.6rem 0; }
.kind { color: var(--accent); font-weight: 600; font-size: 0.85rem; margin: 0 0 0.2rem; }
.facts, .note, figcaption, .faint { color: var(--faint); }
.note, figcaption { font-size: 0.875rem; line-height: 1.5; }
.facts { margin: 0.35rem 0 1.8rem; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9.2rem, 1fr));
  gap: 1.1rem 1.5rem; margin: 0;
}
.tiles div { display: flex; flex-direction: column; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.25; }
.tiles dt { color: var(--faint); font-size: 0.8125rem; }
.tiles dd, .n, .ancestry p { font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { margin-top: 0.5rem; overflow-wrap: anywhere; }
figcaption:empty { display: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th {
  text-align: left; font-weight: 600; color: var(--faint); font-size: 0.8125rem;
  border-bottom: 1px solid var(--line); white-space: nowrap;
}
th, td { padding: 0.35rem 1.1rem 0.35rem 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td { border-bottom: 1px solid var(--line); }
th.n, td.n { text-align: right; white-space: nowrap; width: 1%; padding-left: 0.6rem; }
pre, code {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
code { font-size: 0.86em; }
pre {
  background: var(--panel); border-radius: 6px; padding: 0.8rem 1rem; margin: 0.7rem 0;
  overflow-x: auto; line-height: 1.5; font-size: 0.875rem; tab-size: 4;
}
pre code { font-size: 0.93em; }
details pre { margin: 0.4rem 0; }
summary { cursor: pointer; color: var(--accent); }
.k { color: var(--keyword); } .s { color: var(--string); } .d { color: var(--number); }
.c { color: var(--faint); }
tr.group th { color: var(--ink); padding-top: 1rem; font-weight: 400; }
tbody tr.group:first-child th { padding-top: 0.5rem; }
.equations { overflow-x: auto; padding: 0.4rem 0; }
.equations div { padding: 0.25rem 1rem; }
math {
  font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "Libertinus Math", math;
  font-size: 1.12rem; text-align: left; margin: 0;
}
math[display="block"] { display: block math; text-align: left; width: max-content; }
.up { color: var(--up); } .down { color: var(--down); }
.ancestry { list-style: none; margin: 1rem 0 0; padding: 0; }
.ancestry li { border-left: 2px solid var(--line); padding: 0 0 1rem 1.1rem; position: relative; }
.ancestry li::before {
  content: ""; position: absolute; left: -6px; top: 0.5rem; width: 10px; height: 10px;
  border-radius: 50%; background: var(--accent);
}
.ancestry li:last-child { border-left-color: transparent; padding-bottom: 0; }
.ancestry p { margin: 0; }
.diff ins, .diff del, .diff span {
  display: block; text-decoration: none; margin: 0 -1rem; padding: 0 1rem;
}
.diff ins { background: var(--ins); } .diff del { background: var(--del); }
@media (max-width: 34rem) {
  th, td { padding-right: 0.8rem; }
  main { padding: 1.75rem 1rem 3rem; }
  h1 { font-size: 1.6rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
}
@media print { details { display: block; } }
"""
