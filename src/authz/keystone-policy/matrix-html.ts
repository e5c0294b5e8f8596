/**
 * The matrix as one page: nothing loaded, nothing run, every name escaped. Readable without colours and by a screen
 * reader: real tables with captions and headers for rows and columns, danger in words.
 *
 * @module
 */
import type { Matrix, MatrixCell, MatrixRow } from './matrix.ts'

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.4 system-ui, sans-serif; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 90rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
caption { text-align: start; font-weight: bold; padding: 0.5rem 0; }
th, td { border: 1px solid #8888; padding: 0.3rem 0.6rem; text-align: start; vertical-align: top; }
thead th { background: #8882; }
td.danger { outline: 2px solid #c00; outline-offset: -2px; font-weight: bold; }
`

/** Renders the page. */
export function matrixHtml({ title, resources, resourceRows, paths, pathRows }: Matrix): string {
  const tables = [
    table('Resources', ['Who', 'Namespace'], resources, resourceRows),
    table('Paths', ['Who'], paths, pathRows),
  ].join('')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Who may do what: ${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Who may do what</h1>
<p>Policy: ${escaped(title)}. Each row is somebody who has just what it says. A star is whatever the policy does not
name. Cells marked <em>danger</em> lead to a shell, a credential or more rights.</p>
${tables === '' ? '<p>Nobody may do anything.</p>' : tables}</main>
</body>
</html>
`
}

function table(
  caption: string,
  headings: readonly string[],
  columns: readonly string[],
  rows: readonly MatrixRow[],
): string {
  if (rows.length === 0) return ''
  const used = columns.flatMap((name, i) => (rows.some(({ cells }) => cells[i]?.verbs.length) ? [{ name, i }] : []))
  const head = [...headings, ...used.map(({ name }) => name)].map((name) => `<th scope="col">${escaped(name)}</th>`)
  const body = rows.map((row) => {
    const namespaces = headings.length > 1 ? `<td>${escaped(row.namespaces.join(', '))}</td>` : ''
    const cells = used.map(({ i }) => cell(row.cells[i])).join('')
    return `<tr><th scope="row">${escaped(row.who)}</th>${namespaces}${cells}</tr>\n`
  })
  return `<div class="scroll" role="region" aria-label="${escaped(caption)}" tabindex="0">
<table>
<caption>${escaped(caption)}</caption>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${body.join('')}</tbody>
</table>
</div>
`
}

function cell(content: MatrixCell | undefined): string {
  if (content === undefined || content.verbs.length === 0) return '<td></td>'
  const verbs = escaped(content.verbs.join(', '))
  return content.dangerous ? `<td class="danger">${verbs} <em>danger</em></td>` : `<td>${verbs}</td>`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => ESCAPES[letter] ?? '')
}
