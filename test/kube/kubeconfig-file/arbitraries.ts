/** Kubeconfigs as people leave them: comments, blank lines, quotes, flow style, anchors, any order, any indentation. */
import fc from 'fast-check'
import type { Entry } from '../../../src/kube/kubeconfig-file/entries.ts'

/** Plain words, and words that some reader of YAML takes for something else. */
export const word = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9.@:/-]{0,11}[a-z0-9]$/),
  fc.constantFrom('yes', 'no', 'on', 'null', '~', '1', '0x1f', '0o17', '1e3', '12:30', '2024-01-01', '=', '<<', '- a'),
  fc.constantFrom(
    '김철수',
    'a b',
    "it's",
    '"q"',
    '#no',
    'k: v',
    ' lead',
    'trail ',
    '{a}',
    '[b]',
    '&x',
    '*y',
    '!t',
    '%p',
    '@q',
    '`r',
  ),
)

const comment = fc.constantFrom('# remark', '#tight', '#  - cluster: {}', '# "quote', "# it's: not {yaml")
const blank = fc.constantFrom('', '', '   ')
const between = (indent: string): fc.Arbitrary<readonly string[]> =>
  fc.array(
    fc.oneof(
      blank,
      comment.map((text) => indent + text),
    ),
    { maxLength: 2 },
  )

const scalar = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/),
  fc.string({ maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.stringMatching(/^[a-z #:]{0,8}$/).map((text) => `'${text}'`),
)

/** `key: value` lines of the mapping below `cluster`, `user` or `context`. */
const settings = (indent: string): fc.Arbitrary<readonly string[]> =>
  fc
    .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,6}$/), scalar, fc.boolean(), between(indent)), {
      minLength: 1,
      maxLength: 3,
      selector: ([key]) => key,
    })
    .map((pairs) =>
      pairs.flatMap(([key, value, remark, lines]) => [
        ...lines,
        `${indent}${key}: ${value}${remark ? '   # at the end' : ''}`,
      ]),
    )

const item = (kind: string, name: string, dash: string, unit: number): fc.Arbitrary<readonly string[]> => {
  const inside = `${dash}  `
  const quotedName = JSON.stringify(name)
  const block = settings(`${inside}${' '.repeat(unit)}`).map((lines) => [`${kind}:`, ...lines])
  const flow = fc.constantFrom(
    [`${kind}: {a: b, c: "d"}`],
    [`${kind}: { a: [1, 2] }  # flow`],
    [`${kind}: &${kind} {x: y}`],
  )
  return fc
    .record({ body: fc.oneof(block, flow), nameFirst: fc.boolean(), remark: fc.boolean(), after: between(inside) })
    .map(({ body, nameFirst, remark, after }) => {
      const nameLine = `name: ${quotedName}${remark ? ' # name' : ''}`
      const [first = '', ...rest] = nameFirst
        ? [nameLine, `${inside}${body[0]}`, ...body.slice(1)]
        : [...body, `${inside}${nameLine}`]
      return [`${dash}- ${first}`, ...rest, ...after]
    })
}

const list = (kind: string, key: string): fc.Arbitrary<readonly string[]> => {
  const full = fc
    .record({
      names: fc.uniqueArray(word, { minLength: 1, maxLength: 3 }),
      dash: fc.constantFrom('', '  '),
      unit: fc.constantFrom(2, 4),
      before: between(''),
    })
    .chain(({ names, dash, unit, before }) =>
      fc
        .tuple(...names.map((name) => fc.tuple(item(kind, name, dash, unit), between(dash))))
        .map((items) => [`${key}:`, ...before, ...items.flatMap(([lines, after]) => [...lines, ...after])]),
    )
  const empty = fc.constantFrom([`${key}:`], [`${key}: []`], [`${key}: [ ]  # none`], [`${key}: null # none`], [])
  return fc.oneof({ weight: 4, arbitrary: full }, { weight: 1, arbitrary: empty })
}

/** Block style. */
const yamlText = fc
  .record({
    head: between(''),
    sections: fc
      .tuple(
        fc.constantFrom(['apiVersion: v1'], ['apiVersion: "v1"  # as always'], []),
        fc.constantFrom(['kind: Config'], ['kind: "Config"']),
        fc.constantFrom(['preferences: {}'], ['preferences:', '    colors: true'], []),
        fc.constantFrom(['current-context: ""'], ['current-context: old # which'], ['current-context:'], []),
        list('cluster', 'clusters'),
        list('user', 'users'),
        list('context', 'contexts'),
      )
      .chain((sections) => fc.shuffledSubarray([...sections], { minLength: sections.length })),
    gaps: fc.array(between(''), { minLength: 7, maxLength: 7 }),
    eol: fc.constantFrom('\n', '\n', '\r\n'),
    start: fc.constantFrom('', '', '---', '# first'),
    end: fc.boolean(),
  })
  .map(({ head, sections, gaps, eol, start, end }) => {
    const body = sections.flatMap((lines, index) => [...lines, ...(gaps[index] ?? [])])
    const lines = [...(start === '' ? [] : [start]), ...head, ...body]
    return lines.join(eol) + (end ? eol : '')
  })

/** JSON, in lines or in one. */
const jsonText = fc
  .record({
    clusters: fc.uniqueArray(word, { maxLength: 3 }),
    users: fc.option(fc.uniqueArray(word, { maxLength: 3 })),
    indent: fc.constantFrom(0, 2, 4, '\t'),
    current: fc.option(word),
  })
  .map(({ clusters, users, indent, current }) =>
    JSON.stringify(
      {
        kind: 'Config',
        clusters: clusters.map((name) => ({ name, cluster: { server: 'https://a', number: 1.5 } })),
        ...(users === null ? {} : { users: users.map((name) => ({ name, user: {} })) }),
        ...(current === null ? {} : { 'current-context': current }),
      },
      null,
      indent,
    ),
  )

export const kubeconfigText = fc.oneof({ weight: 5, arbitrary: yamlText }, { weight: 1, arbitrary: jsonText })

/** An entry of each kind. */
export const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    kind: fc.constant('cluster' as const),
    name: word,
    settings: fc.record({ server: fc.constant('https://new.example:6443') }),
  }),
  fc.record({
    kind: fc.constant('user' as const),
    name: word,
    settings: fc.record({
      exec: fc.record({
        apiVersion: fc.constantFrom('client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'),
        command: word,
        args: fc.option(fc.array(word, { minLength: 1, maxLength: 3 })),
        env: fc.option(fc.array(fc.record({ name: fc.constant('A'), value: word }), { minLength: 1, maxLength: 2 })),
        installHint: fc.constantFrom('one line', 'two\nlines', 'ends\n', '  leads\nand: # goes on\n\n'),
        interactiveMode: fc.constant('IfAvailable' as const),
        provideClusterInfo: fc.boolean(),
      }),
    }),
  }),
  fc.record({
    kind: fc.constant('context' as const),
    name: word,
    settings: fc.record({ cluster: word, user: word, namespace: word }),
  }),
)
