/**
 * Results of examples as JUnit XML, which every build server reads.
 *
 * @module
 */
/** The examples of one policy. */
export interface TestedGroup {
  readonly name: string
  readonly cases: readonly TestedCase[]
}

export interface TestedCase {
  readonly file: string
  readonly line: number
  readonly title: string
  /** Absent: it passed. */
  readonly failure?: { readonly what: string; readonly why: string }
}

/** One `testsuite` for each policy, one `testcase` for each request of each example. */
export function junitXml(groups: readonly TestedGroup[]): string {
  const suites = groups.map(({ name, cases }) => {
    return `  <testsuite name="${escaped(name)}" ${counts(cases)}>\n${cases.map(testcase).join('')}  </testsuite>\n`
  })
  const all = groups.flatMap(({ cases }) => cases)
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="archway policy test" ${counts(all)}>\n${suites.join('')}</testsuites>\n`
}

function counts(cases: readonly TestedCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length
  return `tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="0"`
}

function testcase({ file, line, title, failure }: TestedCase): string {
  const head = `    <testcase classname="${escaped(file)}" name="${escaped(title)}" file="${escaped(file)}" line="${line}" time="0"`
  if (failure === undefined) return `${head}/>\n`
  const { what, why } = failure
  return `${head}>\n      <failure message="${escaped(what)}" type="decision">${escaped(why)}</failure>\n    </testcase>\n`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\t': '&#9;',
}

/** What XML cannot hold at all becomes the replacement character. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"\n\r\t]/g, (letter) => ESCAPES[letter] ?? '')
}
