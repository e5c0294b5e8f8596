/** `archway can-i`: one question, a list, a stream of reviews. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Command } from 'commander'
import { addCanICommand } from '../../src/cli/can-i.ts'
import { ArchwayError } from '../../src/errors.ts'
import { ABAC, archway, archwayWith, BROKEN, file, JANE, MEMBERS, RBAC, review } from './policy-support.ts'
import { testIo } from './support.ts'

const POLICY = ['--keystone-policy-file', MEMBERS]
const MANIFESTS = ['--rbac-manifests', RBAC]

describe('archway can-i', () => {
  test('says yes or no, why, and the status says it as well', async () => {
    const yes = await archway('can-i', 'get', 'pods', JANE, POLICY)
    assert.deepEqual(yes, {
      status: 0,
      out: `yes - Keystone policy: allowed by ${MEMBERS}[0] "default/pods"\n`,
      err: '',
    })
    const no = await archway('can-i', 'create', 'pods', JANE, POLICY)
    assert.deepEqual(no, { status: 1, out: 'no - Keystone policy: no rule allows this\n', err: '' })
  })

  test('-q prints nothing', async () => {
    assert.deepEqual(await archway('can-i', 'get', 'pods', JANE, POLICY, '-q'), { status: 0, out: '', err: '' })
    assert.deepEqual(await archway('can-i', 'create', 'pods', JANE, POLICY, '-q'), { status: 1, out: '', err: '' })
  })

  test('-o json has the decision and the request that was judged', async () => {
    const { out } = await archway('can-i', 'get', 'pods', 'web', JANE, '--project-id', 'p-1', POLICY, '-o', 'json')
    assert.deepEqual(JSON.parse(out), {
      decision: 'allow',
      allowed: true,
      reason: `Keystone policy: allowed by ${MEMBERS}[0] "default/pods"`,
      request: {
        user: 'jane',
        uid: '',
        groups: ['p-1', 'system:authenticated'],
        extra: {
          'alpha.kubernetes.io/identity/project/id': ['p-1'],
          'alpha.kubernetes.io/identity/project/name': ['demo'],
          'alpha.kubernetes.io/identity/roles': ['member'],
        },
        kind: 'resource',
        verb: 'get',
        group: '',
        version: '',
        resource: 'pods',
        subresource: '',
        namespace: 'default',
        name: 'web',
      },
    })
  })

  test('asks policy, RBAC and ABAC in that order; the first that allows is named', async () => {
    const all = [POLICY, MANIFESTS, '--abac-file', ABAC].flat()
    const alice = ['--as', 'alice', '--project-name', 'demo', '--role', 'member']
    assert.match((await archway('can-i', 'get', 'pods', alice, all)).out, /^yes - Keystone policy/)
    assert.match((await archway('can-i', 'get', '/livez', alice, all)).out, /^yes - RBAC: .*"health"/)
    assert.match((await archway('can-i', 'delete', 'nodes', alice, all)).out, /^yes - ABAC: .*line 1/)
    assert.match((await archway('can-i', 'delete', 'nodes', JANE, all)).out, /^no - .*; No policy matched\.\n$/)
  })

  test('several policy files are one policy', async () => {
    const more = await file('more.json', [{ users: { projects: ['demo'] }, resource_permissions: { 'a/b': ['get'] } }])
    const both = [POLICY, '--keystone-policy-file', more].flat()
    assert.equal((await archway('can-i', 'get', 'b', '-n', 'a', JANE, both)).status, 0)
    assert.equal((await archway('can-i', 'get', 'pods', JANE, both)).status, 0)
  })

  test('the mode says how far a key reaches', async () => {
    const status = async (...mode: string[]): Promise<number> =>
      (await archway('can-i', 'get', 'pods/exec', JANE, POLICY, mode)).status
    assert.equal(await status(), 1)
    assert.equal(await status('--policy-subresources', 'compat'), 0)
    const { status: wrong, err } = await archway('can-i', 'get', 'pods', JANE, POLICY, '--policy-subresources', 'lax')
    assert.equal(wrong, 2)
    assert.match(err, /compat, guarded, strict/)
  })

  test('examples that fail are told: the server would not take the policy', async () => {
    const failing = await file('failing.json', {
      policies: [],
      examples: [{ user: 'x', verb: 'get', path: '/', expect: 'allow' }],
    })
    const { status, out, err } = await archway('can-i', 'get', 'pods', JANE, '--keystone-policy-file', failing)
    assert.equal(status, 1)
    assert.match(out, /^no/)
    assert.equal(err, `archway: ${failing}: 1 of its examples fail: see archway policy test\n`)
  })
})

describe('the request of can-i', () => {
  /** `verb namespace resource.group/subresource name`, as it was understood. */
  async function understood(...words: string[]): Promise<string> {
    const { out, err } = await archway('can-i', words, '--as', 'u', POLICY, '-o', 'json')
    assert.equal(err, '')
    const { request } = JSON.parse(out)
    if (request.kind === 'non-resource') return `${request.verb} ${request.path}`
    const { verb, namespace, group, version, resource, subresource, name } = request
    return [
      verb,
      namespace || '-',
      [resource, version, group].filter(Boolean).join('.'),
      subresource || '-',
      name || '-',
    ].join(' ')
  }

  const CASES: readonly (readonly [words: string, understood: string])[] = [
    ['get pods', 'get default pods - -'],
    ['get pods web', 'get default pods - web'],
    ['get pods/web', 'get default pods - web'],
    ['get pods/log', 'get default pods log -'],
    ['get pods/log web', 'get default pods log web'],
    ['get pods/web/log', 'get default pods log web'],
    ['get pods/web --subresource log', 'get default pods log web'],
    ['get pods/log --subresource log', 'get default pods log log'],
    ['get pods log', 'get default pods - log'],
    ['get po -n team', 'get team pods - -'],
    ['list pod -A', 'list - pods - -'],
    ['create deploy', 'create default deployments.apps - -'],
    ['create deployments.apps', 'create default deployments.apps - -'],
    ['create deployments.v1.apps', 'create default deployments.v1.apps - -'],
    ['create deployments --api-group extensions', 'create default deployments.extensions - -'],
    ['update deployments.apps/web/scale', 'update default deployments.apps scale web'],
    ['get ingresses', 'get default ingresses.networking.k8s.io - -'],
    ['get ingress', 'get default ingresses.networking.k8s.io - -'],
    ['get widgets', 'get default widgets - -'],
    ['get widgets.example.com', 'get default widgets.example.com - -'],
    ['get nodes', 'get - nodes - -'],
    ['get nodes -n team', 'get team nodes - -'],
    ['get clusterroles', 'get - clusterroles.rbac.authorization.k8s.io - -'],
    ['get namespaces team', 'get team namespaces - team'],
    ['list ns', 'list - namespaces - -'],
    ['impersonate users bob', 'impersonate - users - bob'],
    ['* *', '* default * - -'],
    ['get /api/v1', 'get /api/v1'],
  ]
  for (const [words, expected] of CASES) {
    test(`${words} is ${expected}`, async () => {
      assert.equal(await understood(...words.split(' ')), expected)
    })
  }

  async function who(...words: string[]): Promise<{ groups: string[]; extra?: object; uid: string }> {
    return JSON.parse((await archway('can-i', 'get', 'pods', words, POLICY, '-o', 'json')).out).request
  }

  test('groups are those kube-apiserver gives to whom it impersonates', async () => {
    const groups = async (...words: string[]): Promise<string[]> => (await who(...words)).groups
    assert.deepEqual(await groups('--as', 'u'), ['system:authenticated'])
    assert.deepEqual(await groups('--as', 'u', '--as-group', 'a', '--as-group', 'b'), [
      'a',
      'b',
      'system:authenticated',
    ])
    assert.deepEqual(await groups('--as', 'system:anonymous'), ['system:unauthenticated'])
    assert.deepEqual(await groups('--as', 'u', '--as-group', 'system:authenticated'), ['system:authenticated'])
    assert.deepEqual(await groups('--as', 'system:serviceaccount:dev:ci'), [
      'system:serviceaccounts',
      'system:serviceaccounts:dev',
      'system:authenticated',
    ])
  })

  test('extra is absent unless something of it was said', async () => {
    assert.equal('extra' in (await who('--as', 'u')), false)
    const { extra, uid } = await who('--as', 'u', '--as-uid', '7', '--extra', 'Scopes=a', '--extra', 'scopes=b=c')
    assert.deepEqual(extra, { scopes: ['a', 'b=c'] })
    assert.equal(uid, '7')
  })

  const WRONG: readonly (readonly [words: string, message: RegExp])[] = [
    ['', /say what is asked for: VERB RESOURCE/],
    ['get --as u', /say what is asked for/],
    ['get pods', /--as USER is missing/],
    ['get pods --as u -n a -A', /either --namespace or --all-namespaces/],
    ['get pods/web other --as u', /two names: web in pods\/web, and other/],
    ['get pods/a/log --as u --subresource exec', /two subresources/],
    ['get deployments.apps --as u --api-group batch', /two API groups/],
    ['get a/b/c/d --as u', /expected TYPE/],
    ['get pods/ --as u', /expected TYPE/],
    ['get /healthz web --as u', /leave out the name web/],
    ['get /healthz -n a --as u', /leave out --namespace/],
    ['get pods --as u --extra scopes', /expected KEY=VALUE/],
    ['get pods a b --as u', /too many arguments/],
    ['get pods --list --as u', /--list goes without VERB/],
    ['get pods --reviews x', /--reviews goes without VERB/],
    ['--list --reviews x --as u', /either --list or --reviews/],
    ['--list', /--as USER is missing/],
    ['get pods --as u -o yaml', /text, json/],
  ]
  for (const [words, message] of WRONG) {
    test(`"${words}" is a wrong command line: status 2`, async () => {
      const { status, out, err } = await archway('can-i', words.split(' ').filter(Boolean), POLICY)
      assert.equal(status, 2)
      assert.equal(out, '')
      assert.match(err, message)
    })
  }
})

describe('the sources of can-i', () => {
  test('without one there is nobody to ask', async () => {
    const { status, err } = await archway('can-i', 'get', 'pods', '--as', 'u')
    assert.equal(status, 2)
    assert.match(err, /nobody to ask: name --keystone-policy-file/)
  })

  test('every mistake in every file is listed with its place', async () => {
    const manifests = await file('bad-rbac/roles.yaml', 'kind: Role\n---\napiVersion: [\n')
    const folder = manifests.replace('/roles.yaml', '')
    const abac = await file('bad.jsonl', '{"user":"x"}\nnonsense\n')
    const { status, out, err } = await archway(
      'can-i',
      ['get', 'pods', '--as', 'u'],
      ['--keystone-policy-file', BROKEN, '--keystone-policy-file', '/nonexistent.json'],
      ['--rbac-manifests', folder, '--abac-file', abac],
    )
    assert.equal(status, 2)
    assert.equal(out, '')
    for (const start of [
      `${BROKEN}:1:12: [0].users: expected an object`,
      `${BROKEN}:2:26: [0].resource_permissions: expected an object`,
      '/nonexistent.json: cannot be read',
      `${folder}/roles.yaml:1: apiVersion or kind is missing`,
      `${folder}/roles.yaml:`,
      `${abac}:2: is not one JSON object`,
    ]) {
      assert.ok(err.includes(`\n${start}`) || err.startsWith(start), `${start}\n---\n${err}`)
    }
    assert.match(err, /archway: \d mistakes\n$/)
  })

  test('a configuration is one where somebody can open it', async () => {
    const missing = await archway('can-i', 'get', 'pods', '--as', 'u', '--config', '/nonexistent/archway.yaml')
    assert.equal(missing.status, 2)
    assert.match(missing.err, /cannot read the configuration: .*\/nonexistent\/archway\.yaml/)

    const io = testIo()
    const closed: string[] = []
    let status = -1
    const program = new Command().exitOverride()
    addCanICommand(
      program,
      io,
      (code) => {
        status = code
      },
      async (path) => ({
        authorizer: {
          name: 'chain',
          async authorize() {
            throw new ArchwayError('keystone_unreachable', 'nobody is there')
          },
        },
        unlisted: ['webhook'],
        close: () => void closed.push(path),
      }),
    )
    const run = (...words: string[]) =>
      program.parseAsync(['can-i', ...words, '--as', 'u', '--config', 'c'], { from: 'user' })
    await run('get', 'pods')
    assert.deepEqual([status, io.printed.out, closed], [2, 'could not tell - nobody is there\n', ['c']])
    await run('--list')
    assert.equal(io.printed.err, 'archway: the list is incomplete: webhook cannot tell\n')
    await assert.rejects(run('get', 'pods', '--abac-file', ABAC), /a whole chain: leave out the other sources/)
  })
})

describe('archway can-i --list', () => {
  const LIST = ['can-i', '--list', JANE, '--as-group', 'devs', '-n', 'team', POLICY, MANIFESTS].flat()

  test('is a table like that of kubectl', async () => {
    const { status, out, err } = await archway(LIST)
    assert.deepEqual([status, err], [0, ''])
    assert.deepEqual(
      out.split('\n').map((line) => line.replace(/ {2,}/g, ' | ')),
      [
        'Resources | Non-Resource URLs | Resource Names | Verbs',
        'nodes.* | [] | [] | [get]',
        'nodes.*/<harmless> | [] | [] | [get]',
        ' | [/healthz] | [] | [get]',
        ' | [/livez] | [] | [get]',
        'deployments.apps | [] | [web] | [get update]',
        'deployments.apps/scale | [] | [web] | [get update]',
        'deployments.apps | [] | [] | [create]',
        '',
        '<harmless>: every subresource but attach, ephemeralcontainers, exec, portforward, proxy, token',
        '',
      ],
    )
  })

  test('-o json tells where each rule comes from', async () => {
    const list = JSON.parse((await archway(LIST, '-o', 'json')).out)
    assert.deepEqual([list.namespace, list.incomplete, list.errors], ['team', false, []])
    assert.deepEqual(list.resourceRules[0], {
      verbs: ['get'],
      apiGroups: ['*'],
      resources: ['nodes', 'nodes/<harmless>'],
      resourceNames: [],
      source: `${MEMBERS}[0] "*/nodes"`,
    })
    assert.equal(list.nonResourceRules.length, 2)
  })

  test('what it lists is what the policy decides, in every mode', async () => {
    const policy = await file('list.json', [
      {
        users: { projects: ['demo'], roles: ['member'] },
        resource_permissions: {
          "team/['pods','services']": ['GET'],
          'team/!secrets': ['list'],
          'team/configmaps@core/status': ['patch'],
          'team/jobs/*': ['watch'],
          'other/pods': ['delete'],
          '*/*': ['deletecollection'],
          '*/!jobs@batch': ['update'],
        },
        nonresource: { verbs: ['get'], path: '/api/*' },
      },
      {
        resource: { verbs: ['create'], resources: ['pods/exec'], version: 'apps', namespace: 'team' },
        match: [{ type: 'role', values: ['member'] }],
      },
      { users: { projects: ['demo'], roles: ['other'] }, resource_permissions: { '*/*': ['*'] } },
    ])
    const listed = async (mode: string): Promise<string[]> => {
      const sources = ['--keystone-policy-file', policy, '--policy-subresources', mode]
      const { out } = await archway('can-i', '--list', JANE, '-n', 'team', sources)
      return out
        .split('\n')
        .slice(1, -1)
        .map((line) => line.replaceAll('[]', '').replace(/ +/g, ' ').trim())
    }
    assert.deepEqual(await listed('strict'), [
      'pods.* [get]',
      'services.* [get]',
      '* except secrets, without subresources [list]',
      'configmaps/status [patch]',
      'jobs.*/* [watch]',
      '*, without subresources [deletecollection]',
      '*.batch except jobs, without subresources [update]',
      '[/api/*] [get]',
      'pods.apps/exec [create]',
    ])
    assert.deepEqual((await listed('compat')).slice(0, 6), [
      'pods.* [get]',
      'pods.*/* [get]',
      'services.* [get]',
      'services.*/* [get]',
      '* except secrets [list]',
      '*/* except secrets [list]',
    ])
    assert.deepEqual((await listed('guarded')).slice(4, 6), [
      '* except secrets [list]',
      '*/<harmless> except secrets [list]',
    ])
  })

  test('of somebody the policy is not about there is nothing', async () => {
    const { status, out } = await archway('can-i', '--list', '--as', 'u', POLICY)
    assert.deepEqual([status, out], [0, 'nothing\n'])
  })

  test('says that it is incomplete where a role is missing', async () => {
    const dangling = await file(
      'dangling/b.yaml',
      'apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: { name: b }\n' +
        'roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gone }\n' +
        'subjects: [{ kind: User, apiGroup: rbac.authorization.k8s.io, name: u }]\n',
    )
    const { err } = await archway('can-i', '--list', '--as', 'u', '--rbac-manifests', dangling.replace('/b.yaml', ''))
    assert.match(err, /^archway: the list is incomplete: .*"gone" not found/)
  })
})

describe('archway can-i --reviews', () => {
  const pods = { verb: 'get', resource: 'pods', namespace: 'default' }
  const allowed = { decision: 'allow', reason: `Keystone policy: allowed by ${MEMBERS}[0] "default/pods"` }
  const refused = { decision: 'no-opinion', reason: 'Keystone policy: no rule allows this' }

  test('answers each with a line, in order, both versions', async () => {
    const lines = [review(pods), review({ ...pods, verb: 'create' }), review(pods, 'v1beta1')]
    const text = lines.map((line) => JSON.stringify(line)).join('\n')
    for (const input of [text, `${text}\n`, text.replaceAll('\n', '\r\n'), text.replaceAll('\n', '\n\n \n')]) {
      const { status, out, err } = await archwayWith(input, 'can-i', '--reviews', '-', POLICY)
      assert.deepEqual([status, err], [0, ''])
      assert.deepEqual(
        out
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
        [allowed, refused, allowed],
      )
    }
    const path = await file('reviews.jsonl', text)
    const { out } = await archway('can-i', '--reviews', path, POLICY)
    assert.equal(out.split('\n').length, 4)
  })

  test('a line that is no review has its error; the others go on, and the status is 2', async () => {
    const lines = [
      '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"secret-canary"}}',
      'nonsense',
      '[]',
      '{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v9","spec":{}}',
      '{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{}}',
      '{"kind":"SubjectAccessReview","kind":"TokenReview"}',
      `"${'x'.repeat(1_100_000)}"`,
    ]
    const input = [...lines, JSON.stringify(review(pods))].join('\n')
    const { status, out } = await archwayWith(input, 'can-i', '--reviews', '-', POLICY)
    assert.equal(status, 2)
    const answers = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(answers.length, lines.length + 1)
    for (const [index, answer] of answers.slice(0, -1).entries()) {
      assert.deepEqual([answer.decision, answer.reason], ['no-opinion', ''])
      assert.match(answer.error, new RegExp(`^line ${index + 1}: `))
    }
    assert.deepEqual(answers.at(-1), allowed)
    assert.equal(out.includes('canary'), false)
  })

  test('nothing in is nothing out', async () => {
    assert.deepEqual(await archwayWith('', 'can-i', '--reviews', '-', POLICY), { status: 0, out: '', err: '' })
  })

  test('a file that cannot be read is named', async () => {
    const { status, err } = await archway('can-i', '--reviews', '/nonexistent.jsonl', POLICY)
    assert.equal(status, 2)
    assert.match(err, /cannot read \/nonexistent\.jsonl/)
  })

  test('takes standard input as it comes: answers what is there before the rest is', async () => {
    const io = testIo()
    let go: (() => void) | undefined
    const more = new Promise<void>((resolve) => {
      go = resolve
    })
    const line = Buffer.from(`${JSON.stringify(review(pods))}\n`)
    const streaming = {
      ...io,
      async *inputChunks() {
        yield line.subarray(0, 40)
        yield line.subarray(40)
        await more
        yield line
      },
    }
    let status = -1
    const program = new Command()
    addCanICommand(program, streaming, (code) => {
      status = code
    })
    const running = program.parseAsync(['can-i', '--reviews', '-', ...POLICY], { from: 'user' })
    await io.said('\n')
    assert.equal(io.printed.out.split('\n').length, 2)
    go?.()
    await running
    assert.deepEqual([status, io.printed.out.split('\n').length], [0, 3])
  })
})
