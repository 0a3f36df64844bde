"""The report's style sheet: cards on a phone, a grid on a desktop."""

CSS = """
:root { color-scheme: light dark; --bg: #fafafa; --card: #fff; --ink: #1d1d22;
  --soft: #62626c; --line: #dcdce2; --good: #14753c; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --bg: #15161a; --card: #1e2026;
  --ink: #ececf0; --soft: #a2a2ae; --line: #343640; --good: #5fce8c;
  --bad: #ff8a80 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
main { max-width: 1240px; margin: 0 auto; padding: 16px }
h1 { font-size: 1.5rem; margin: 8px 0 }
h2 { font-size: 1.15rem; margin: 0 0 8px }
section { margin: 28px 0 }
.hint { color: var(--soft); font-size: .875rem; margin: 8px 0 }
table { border-collapse: collapse; width: 100%; max-width: 760px;
  font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: 5px 8px; vertical-align: top;
  border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600 }
td:first-child, th:first-child, .text { text-align: left }
section:first-of-type td:nth-child(2), section:first-of-type th:nth-child(2) {
  text-align: left }
th, td { white-space: nowrap } td small { color: var(--soft); display: block }
.text { white-space: normal; overflow-wrap: anywhere }
.table { overflow-x: auto }
.better { color: var(--good); font-weight: 600 }
.worse { color: var(--bad); font-weight: 600 }
.facts td:first-child { color: var(--soft); width: 40% }
summary { cursor: pointer; padding: 6px 0 }
figure { margin: 0 }
.curves { display: grid; gap: 16px } .curves h2 { grid-column: 1 / -1 }
.curves figure, article { background: var(--card); padding: 12px;
  border: 1px solid var(--line); border-radius: 10px }
svg { display: block; width: 100%; height: auto }
.rows { display: grid; gap: 16px }
blockquote { margin: 0 0 10px; font-size: .875rem; white-space: pre-wrap;
  overflow-wrap: anywhere; max-height: 9em; overflow: auto }
.cells { display: grid; gap: 8px; grid-template-columns: repeat(3, 1fr) }
img { display: block; width: 100%; height: auto; border-radius: 4px;
  image-rendering: pixelated }
figcaption { color: var(--soft); font-size: .8125rem }
@media (max-width: 479px) { main { padding: 16px 10px }
  th, td { padding: 5px 3px; font-size: .75rem; white-space: normal } }
@media (min-width: 760px) {
  .curves { grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)) }
  .rows { grid-template-columns: repeat(auto-fit, minmax(560px, 1fr)) }
  .cells { grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)) }
}
"""
