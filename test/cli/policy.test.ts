/** `archway policy`: check, test, explain, matrix, diff. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { archway, archwayWith, BROKEN, file, JANE, MEMBERS, review } from './policy-support.ts'

const COMMANDS = ['check', 'test', 'explain', 'matrix', 'diff', 'replay', 'convert']

describe('archway policy', () => {
  test('every command has examples, and says what its status means', async () => {
    assert.match((await archway('policy', '--help')).out, /\nExamples:\n {2}\S/)
    assert.match((await archway('can-i', '--help')).out, /\nExamples:\n {2}\S[\s\S]*\nStatus 0: /)
    for (const command of COMMANDS) {
      const { status, out } = await archway('policy', command, '--help')
      assert.equal(status, 0)
      assert.match(out, /\nExamples:\n {2}\S[\s\S]*\nStatus 0: /, command)
    }
  })

  test('mistakes in a policy end every command with their places', async () => {
    const rest: Readonly<Record<string, readonly string[]>> = {
      explain: ['get', 'pods', '--as', 'u'],
      diff: [MEMBERS],
      convert: ['--to', 'v2'],
    }
    for (const command of COMMANDS.filter((name) => name !== 'replay')) {
      const { status, out, err } = await archway('policy', command, BROKEN, rest[command] ?? [])
      assert.equal(status, command === 'check' ? 1 : 2, command)
      const said = command === 'check' ? out : err
      assert.ok(said.startsWith(`${BROKEN}:1:12: [0].users: expected an object, found a list.`), said)
      assert.match(said, /broken\.json:2:26: [\s\S]*2 mistakes\n$/)
    }
  })
})

describe('archway policy check', () => {
  const OPEN = file('open.json', [
    { resource_permissions: { '!kube-*/pods': ['get'] } },
    { users: { projects: ['demo'], roles: ['memebr'] }, resource_permissions: { 'a/secrets': ['get'] } },
  ])

  test('says so where there is nothing to say', async () => {
    const policy = await file('fine.json', [
      {
        users: { projects: ['0123456789abcdef0123456789abcdef'], roles: ['member'] },
        resource_permissions: { 'default/configmaps@core': ['get'] },
      },
    ])
    const { status, out, err } = await archway('policy', 'check', policy, '--policy-subresources', 'strict')
    assert.deepEqual([status, out, err], [0, `${policy}: 1 rule, nothing to say against them\n`, ''])
  })

  test('lists findings with place, severity and code; errors make the status 1', async () => {
    const path = await OPEN
    const { status, out } = await archway('policy', 'check', path, '--roles', 'admin, member')
    assert.equal(status, 1)
    const lines = out.split('\n')
    assert.ok(lines.some((line) => line.startsWith(`${path}:1: error: [0].resource_permissions["!kube-*/pods"] `)))
    assert.ok(lines.some((line) => /: warning: .*there is no role "memebr" \(name-unknown\)$/.test(line)))
    assert.match(lines.at(-2) ?? '', /2 rules, \d errors?, \d warnings?/)
  })

  test('--fail-on says what makes the status 1; mistakes and failing examples always do', async () => {
    const path = await OPEN
    const warned = await file('warned.json', [
      { users: { projects: ['demo'], roles: ['x'] }, resource_permissions: { 'a/secrets': ['get'] } },
    ])
    const status = async (...words: string[]): Promise<number> => (await archway('policy', 'check', words)).status
    assert.equal(await status(path, '--fail-on', 'never'), 0)
    assert.equal(await status(warned), 0)
    assert.equal(await status(warned, '--fail-on', 'warning'), 1)
    assert.equal(await status(BROKEN, '--fail-on', 'never'), 1)
    assert.equal(await status('/nonexistent.json'), 1)
    assert.equal(await status(warned, '--fail-on', 'info'), 2)
    const failing = await file('expects.json', {
      policies: [],
      examples: [{ user: 'x', verb: 'get', path: '/', expect: 'allow' }],
    })
    const { status: failed, out } = await archway('policy', 'check', failing, '--fail-on', 'never')
    assert.equal(failed, 1)
    assert.match(out, /expects\.json:1: example: examples\[0\]: x: get \/: expected allow, got no-opinion \(.+\)\n/)
  })

  test('looks at each file by itself, or together', async () => {
    const [one, two] = [
      await file('one.json', [{ users: { projects: ['a'] }, resource_permissions: { 'n/*': ['get'] } }]),
      await file('two.json', [{ users: { projects: ['a'] }, resource_permissions: { 'n/pods': ['get'] } }]),
    ]
    const apart = await archway('policy', 'check', one, two)
    assert.equal(apart.out.includes('shadowed'), false)
    assert.equal(apart.out.split('\n').filter((line) => /: 1 rule,/.test(line)).length, 2)
    const together = await archway('policy', 'check', one, two, '--together')
    assert.match(together.out, /two\.json:1: note: .*superfluous.*\(shadowed\)\n/)
    assert.ok(together.out.includes(`${one}, ${two}: 2 rules, `))
  })

  test('-o json is the same for programs', async () => {
    const [found] = JSON.parse((await archway('policy', 'check', MEMBERS, '-o', 'json')).out)
    assert.deepEqual(found.files, [MEMBERS])
    assert.deepEqual(found.examples, { passed: 2, failed: [] })
    assert.ok(found.findings.every(({ severity, code, line }: Record<string, unknown>) => severity && code && line))
    const [broken] = JSON.parse((await archway('policy', 'check', BROKEN, '-o', 'json')).out)
    assert.equal(broken.mistakes.length, 2)
  })
})

describe('archway policy test', () => {
  const FAILING = file('tested.yaml', {
    policies: [{ users: { projects: ['demo'], roles: ['member'] }, resource_permissions: { 'a/pods': ['get'] } }],
    examples: [
      {
        name: 'looks',
        user: { name: 'j', project: 'demo', roles: ['member'] },
        verb: 'get',
        resource: 'pods',
        namespace: 'a',
        expect: 'allow',
      },
      {
        name: 'a <b> & "c"',
        user: { name: 'j', project: 'demo', roles: ['member'] },
        verb: 'put',
        resource: 'pods',
        namespace: 'a',
        expect: 'allow',
      },
      {
        name: 'closed',
        user: { name: 'j', project: 'demo', roles: ['member'] },
        verb: 'get',
        resource: 'pods',
        namespace: 'a',
        expect: 'deny',
      },
      {
        name: 'service accounts',
        user: 'system:serviceaccount:a:b',
        verb: 'get',
        resource: 'pods',
        namespace: 'a',
        expect: 'allow',
      },
    ],
  })

  test('runs every request of every example', async () => {
    assert.deepEqual(await archway('policy', 'test', MEMBERS), {
      status: 0,
      out: `${MEMBERS}: 2 examples\n  ok    members look: get default/pods\n  ok    members look: list default/pods\n2 passed, 0 failed\n`,
      err: '',
    })
  })

  test('says of a failure where it stands, which rule allowed it, or what came nearest', async () => {
    const { status, out } = await archway('policy', 'test', await FAILING)
    assert.equal(status, 1)
    assert.match(
      out,
      /FAIL {2}a <b>.*\n +.*tested\.yaml:\d+: expected allow, got no-opinion\n +nearest: .*"a\/pods": it is for the verb get, and the request for put\n/,
    )
    assert.match(out, /FAIL {2}closed\n.*expected no-opinion, got allow\n +Keystone policy: allowed by .*"a\/pods"\n/)
    assert.match(out, /FAIL {2}service accounts\n.*\n +the request has no extra/)
    assert.match(out, /\n1 passed, 3 failed\n$/)
  })

  test('a policy without examples passes, and that is said', async () => {
    const { status, out } = await archway('policy', 'test', await file('none.json', '[]'))
    assert.equal(status, 0)
    assert.match(out, /none\.json: no examples\n0 passed, 0 failed\n$/)
  })

  test('--junit writes XML, names escaped; - in place of the text', async () => {
    const path = await FAILING
    const { status, out } = await archway('policy', 'test', path, '--junit', '-')
    assert.equal(status, 1)
    assert.match(
      out,
      /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites name="archway policy test" tests="4" failures="3" errors="0"/,
    )
    assert.ok(out.includes('name="a &lt;b&gt; &amp; &quot;c&quot;"'), out)
    assert.equal(out.match(/<failure message="expected [^"]+" type="decision">/g)?.length, 3)
    const report = path.replace('.yaml', '.xml')
    const both = await archway('policy', 'test', path, '--junit', report)
    assert.match(both.out, /1 passed, 3 failed/)
    assert.equal(readFileSync(report, 'utf8'), out)
    assert.equal((await archway('policy', 'test', path, '--junit', '/nonexistent/x.xml')).status, 2)
  })
})

describe('archway policy explain', () => {
  const explain = (...words: (string | readonly string[])[]) => archway('policy', 'explain', MEMBERS, ...words)

  test('shows every rule, what it lacks, and which came nearest', async () => {
    const { status, out } = await explain('get', 'pods/exec', 'web', JANE)
    assert.equal(status, 1)
    assert.match(out, /^get default\/pods\/exec: not allowed\n {2}Keystone policy: no rule allows this\n/)
    assert.match(out, /\n {2}nearest: .*"default\/pods": without a subresource in its key it does not cover exec/)
    assert.match(out, /\n3 rules about resources\n/)
    assert.match(
      out,
      /\n {2}lacks {3}.*\[1\] "\*\/\*" {2}line 1\n +users\.roles asks for admin; the roles of the user: member\n/,
    )
  })

  test('shows the rule that allows', async () => {
    const { status, out } = await explain('get', '/healthz', JANE)
    assert.equal(status, 0)
    assert.match(out, /^get \/healthz: allowed\n/)
    assert.match(out, /\n1 rule about paths\n {2}allows {2}.*"\/healthz" {2}line 1\n$/)
  })

  test('tells those apart whom no rule is about', async () => {
    const { out } = await explain('get', 'pods', '--as', 'u')
    assert.match(out, /\n {2}no rule counts: the request has no extra/)
  })

  test('takes a review, as kube-apiserver sends it', async () => {
    const asked = review({ verb: 'get', resource: 'pods', namespace: 'default' }, 'v1beta1')
    const path = await file('review.json', JSON.stringify(asked, null, 2))
    assert.equal((await explain('--review', path)).status, 0)
    const piped = await archwayWith(JSON.stringify(asked), 'policy', 'explain', MEMBERS, '--review', '-')
    assert.equal(piped.status, 0)
    const none = await archwayWith('{}', 'policy', 'explain', MEMBERS, '--review', '-')
    assert.equal(none.status, 2)
    assert.match(none.err, /^archway: standard input: apiVersion is missing/)
    assert.match((await explain('get', 'pods', '--review', path)).err, /leave out VERB and RESOURCE/)
    assert.match((await explain('get')).err, /say what is asked for/)
  })

  test('shows no more rules than anybody reads, unless asked', async () => {
    const entries = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`ns-${i}/pods`, ['get']]))
    const many = await file('many.json', [{ users: { projects: ['demo'] }, resource_permissions: entries }])
    const request = ['get', 'pods', '-n', 'ns-79', ...JANE]
    const short = await archway('policy', 'explain', many, request)
    assert.match(short.out, /\n80 rules about resources\n {2}allows {2}.*"ns-79\/pods"/)
    assert.match(short.out, /\n {2}and 29 more that do not allow it; --all shows them\n$/)
    assert.equal((await archway('policy', 'explain', many, request, '--all')).out.match(/ lacks /g)?.length, 79)
  })

  test('-o json has every rule', async () => {
    const { out } = await explain('get', 'pods/exec', JANE, '-o', 'json')
    const { decision, nearest, lines } = JSON.parse(out)
    assert.equal(decision, 'no-opinion')
    assert.equal(lines.length, 3)
    assert.deepEqual(nearest.lacks, [{ place: 'key', about: 'subresource' }])
  })
})

describe('archway policy matrix', () => {
  test('is for a terminal, a browser, or a program', async () => {
    const text = await archway('policy', 'matrix', MEMBERS)
    assert.equal(text.status, 0)
    assert.match(text.out, /project demo, role member in default\n[\s\S]*pods +get list\n/)
    assert.match((await archway('policy', 'matrix', MEMBERS, '-o', 'html')).out, /^<!doctype html>[\s\S]*<\/html>\n$/)
    const { resources } = JSON.parse((await archway('policy', 'matrix', MEMBERS, '-o', 'json')).out)
    assert.ok(resources.includes('pods'))
    const csv = (await archway('policy', 'matrix', MEMBERS, '-o', 'csv')).out
    assert.match(csv, /^who,namespaces,resource or path,verbs,dangerous\r\n/)
    assert.match(csv, /"project demo, role member",default,pods,get list,no\r\n/)
    assert.match(csv, /"project demo, role admin",[^\r]*,pods\/exec,\*,yes\r\n/)
  })

  test('a name is no formula of a spreadsheet', async () => {
    const policy = await file('formula.json', [
      { users: { projects: ['demo'] }, resource_permissions: { 'a/b': ['=1+1'] } },
    ])
    const { out } = await archway('policy', 'matrix', policy, '-o', 'csv')
    assert.match(out, /,'=1\+1,/)
  })
})

describe('archway policy diff', () => {
  const changed = file('changed.json', [
    { users: { projects: ['demo'], roles: ['member'] }, resource_permissions: { 'default/pods': ['get', 'create'] } },
  ])

  test('nothing differs from itself', async () => {
    const { status, out } = await archway('policy', 'diff', MEMBERS, MEMBERS)
    assert.equal(status, 0)
    assert.match(out, /^\d+ requests compared: 0 newly allowed, 0 no longer allowed\n$/)
  })

  test('lists requests either way, and by which rule', async () => {
    const { status, out } = await archway('policy', 'diff', MEMBERS, await changed, '--examples', '3')
    assert.equal(status, 1)
    assert.match(
      out,
      /^Newly allowed:\n {2}\+ project demo, role member: create default\/pods.* \(by .*"default\/pods"\)\n/,
    )
    assert.match(out, /\nNo longer allowed:\n( {2}- .*\n){3} {2}and \d+ more\n\n\d+ requests compared: \d+ newly/)
    assert.equal(out.includes('archway-outsider'), false)
  })

  test('shows what another mode changes', async () => {
    const modes = ['--policy-subresources', 'compat', '--new-subresources', 'guarded']
    const { status, out } = await archway('policy', 'diff', MEMBERS, MEMBERS, modes)
    assert.equal(status, 1)
    assert.match(out, /- project demo, role member: get default\/pods.*\/exec/)
    assert.match(out, / 0 newly allowed/)
  })

  test('-o json has counts and requests', async () => {
    const { out } = await archway('policy', 'diff', MEMBERS, await changed, '-o', 'json', '--requests', '500')
    const { requests, newlyAllowed } = JSON.parse(out)
    assert.ok(requests <= 500)
    assert.equal(newlyAllowed.examples[0].request.verb, 'create')
    assert.match(
      (await archway('policy', 'diff', MEMBERS, MEMBERS, '--requests', 'all')).err,
      /expected a whole number/,
    )
  })
})
