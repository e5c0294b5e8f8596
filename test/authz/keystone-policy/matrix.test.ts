import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { matrix } from '../../../src/authz/keystone-policy/matrix.ts'
import { matrixHtml } from '../../../src/authz/keystone-policy/matrix-html.ts'
import { matrixText } from '../../../src/authz/keystone-policy/matrix-text.ts'
import { compiled } from './support.ts'

const policy = compiled([
  {
    users: { projects: ['demo'], roles: ['member'] },
    resource_permissions: { 'default/pods': ['get', 'list'], "!['kube-system']/events": ['*'] },
  },
  {
    users: { projects: ['demo'], roles: ['ops'] },
    resource_permissions: {
      'default/pods/exec': ['create'],
      '*/nodes': ['get'],
      'default/deployments@apps/scale': ['update'],
    },
  },
  { match: [{ type: 'role', values: ['<script>alert(1)</script>'] }], nonresource: { path: '/api/*', verbs: ['get'] } },
])

test('who may do what, namespaces that are alike together', () => {
  const { resources, resourceRows, paths, pathRows } = matrix(policy)
  const rows = resourceRows.map(({ who, namespaces, cells }) => {
    const some = cells.flatMap(({ verbs, dangerous }, i) =>
      verbs.length === 0 ? [] : [`${resources[i]} ${verbs.join(',')}${dangerous ? '!' : ''}`],
    )
    return `${who} | ${namespaces.join(',')} | ${some.join('; ')}`
  })
  assert.deepEqual(rows, [
    'project demo, role member | default | events *; pods get,list',
    'project demo, role member | * | events *',
    'project demo, role ops | default | deployments/scale update; nodes get; pods/exec create!',
    'project demo, role ops | (cluster),* | nodes get',
  ])
  assert.deepEqual(paths, ['/api/', '/*'])
  assert.deepEqual(
    pathRows.map(({ who }) => who),
    ['role <script>alert(1)</script>'],
  )
})

test('nobody who may do something is left out: every role and project a rule lists has a row', () => {
  const { resourceRows } = matrix(
    compiled([
      {
        match: [{ type: 'role', values: ['reader', 'auditor'] }],
        resource: { verbs: ['get'], resources: ['pods'], version: '*', namespace: 'default' },
      },
      { users: { projects: ['one', 'two'] }, resource_permissions: { 'default/services': ['list'] } },
    ]),
  )
  assert.deepEqual(
    resourceRows.map(({ who }) => who),
    ['role reader', 'role auditor', 'project one', 'project two'],
  )
})

test('as text', () => {
  assert.equal(
    matrixText(matrix(policy)),
    `policy.json

project demo, role member in default
  events  *
  pods    get list

project demo, role member in *
  events  *

project demo, role ops in default
  deployments/scale  update
  nodes              get
  pods/exec          create !

project demo, role ops in (cluster), *
  nodes  get

role <script>alert(1)</script>, paths
  /api/  get
`,
  )
  assert.match(matrixText(matrix(compiled([]))), /Nobody may do anything/)
})

describe('as one page', () => {
  const html = matrixHtml(matrix(policy))

  test('every name is escaped', () => {
    assert.ok(!html.includes('<script'))
    assert.ok(html.includes('role &lt;script&gt;alert(1)&lt;/script&gt;'))
    const quotes = compiled([{ users: { projects: [`"'&`] }, resource_permissions: { 'a/b': ['get'] } }])
    assert.ok(matrixHtml(matrix(quotes)).includes('project &quot;&#39;&amp;'))
  })

  test('nothing is loaded, nothing is run', () => {
    assert.ok(html.includes(`content="default-src 'none'; style-src 'unsafe-inline'"`))
    assert.doesNotMatch(html, /\b(src|href|onload|onclick)=|url\(|@import/)
  })

  test('tables have captions and headers for rows and columns; danger is said in words', () => {
    assert.ok(html.startsWith('<!doctype html>\n<html lang="en">'))
    assert.equal(html.match(/<table>/g)?.length, 2)
    assert.equal(html.match(/<caption>/g)?.length, 2)
    assert.ok(html.includes('<th scope="row">project demo, role ops</th>'))
    assert.ok(html.includes('<th scope="col">pods/exec</th>'))
    assert.ok(html.includes('<td class="danger">create <em>danger</em></td>'))
    const opened = html.match(/<(?!meta|!)[a-z]\w*/g)?.length
    assert.equal(opened, html.match(/<\/\w+/g)?.length, 'every element is closed')
  })

  test('without any right it says so', () => {
    assert.ok(matrixHtml(matrix(compiled([]))).includes('<p>Nobody may do anything.</p>'))
  })
})
