import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { optionRegistry } from '../../src/config/option.ts'
import { flagsOf, knownKeys, listKinds, listOptions } from '../../src/config/options.ts'
import { configJsonSchema, configReference } from '../../src/config/reference.ts'
import { configSchema } from '../../src/config/schema.ts'
import { load, placeOf, setAt, valueAt, WHOLE } from './support.ts'

interface Leaf {
  readonly name: string
  readonly schema: z.ZodType
}

/** Every leaf of the schema, found without the list of options that is under test. */
function* leaves(schema: z.core.$ZodType, name: string): Generator<Leaf> {
  if (optionRegistry.has(schema as z.ZodType)) {
    yield { name, schema: schema as z.ZodType }
    return
  }
  let inner = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap() as z.core.$ZodType
  }
  if (inner instanceof z.ZodObject) {
    for (const [key, member] of Object.entries(inner.shape)) {
      yield* leaves(member as z.core.$ZodType, name === '' ? key : `${name}.${key}`)
    }
  } else if (inner instanceof z.ZodArray && inner.element instanceof z.ZodObject) {
    yield* leaves(inner.element, `${name}[]`)
  } else {
    yield { name, schema: schema as z.ZodType }
  }
}

/** What may stand in a source: its kind, and the mapping beside it. */
const SOURCES = [
  'tokenFile',
  'passwordFile',
  'x509',
  'keystone',
  'ldap',
  'oidc',
  'authenticationConfiguration',
  'apiserver',
  'requestHeader',
  'anonymous',
  'mapping',
]

const found = [...leaves(configSchema, '')]
const options = listOptions()

describe('options', () => {
  for (const { name, schema } of found) {
    test(`${name} is registered, and described in sentences`, () => {
      assert.ok(optionRegistry.has(schema), 'wrap it in option(…)')
      assert.match(schema.description ?? '', /^[A-Z`].{5,}\.$/)
    })
  }

  test('are all listed, in the order of the schema', () => {
    assert.deepEqual(
      options.map(({ name }) => name),
      found.map(({ name }) => name),
    )
    assert.ok(options.length > 40)
  })

  test('have variables of their own, and flags of their own for each door', () => {
    for (const key of ['env', 'name'] as const) {
      const given = options.flatMap((option) => option[key] ?? [])
      assert.equal(new Set(given).size, given.length, key)
    }
    for (const door of ['webhook', 'proxy', 'none'] as const) {
      const given = flagsOf(door).map(({ flag }) => flag)
      assert.equal(new Set(given).size, given.length, door)
    }
  })

  test('have flags and variables that look like some, and a word for the value', () => {
    for (const { name, flag, env, value } of options) {
      if (flag !== undefined) assert.match(flag, /^[a-z]+(-[a-z]+)*$/, name)
      // One variable is that of every OpenTelemetry SDK.
      if (env !== undefined) assert.match(env, /^ARCHWAY_[A-Z]+(_[A-Z]+)*$|^OTEL_EXPORTER_OTLP_ENDPOINT$/, name)
      assert.match(value, /^[A-Z]+$/)
      if (flag !== undefined) assert.notEqual(value, 'VALUE', name)
    }
  })

  test('that can be given as text are text, or a list of it: a flag for a number could never be right', () => {
    for (const { name, flag, env, type, list } of options) {
      if (flag !== undefined || env !== undefined) assert.match(type, list ? /^list of text$/ : /^(text|`.*`)$/, name)
    }
  })

  test('that make an item of a list have a flag to make it with, and all such items can be made', () => {
    for (const { path, flag, makes } of options) {
      if (makes) assert.ok(path[1] === '[]' && flag !== undefined, path.join('.'))
      // What a flag adds to must be something a flag can make.
      const ofKind = options.filter((other) => other.path[0] === path[0] && other.path[2] === path[2])
      if (path[1] === '[]' && flag !== undefined)
        assert.ok(
          ofKind.some((other) => other.makes),
          path.join('.'),
        )
    }
  })

  test('have the default that is used', () => {
    for (const { name, defaultValue, required } of options) {
      if (required) assert.equal(defaultValue, undefined, name)
    }
    const without = options.filter(({ defaultValue, required }) => defaultValue === undefined && !required)
    assert.deepEqual(
      without.map(({ name }) => name),
      [
        'server.tls.certFile',
        'server.tls.keyFile',
        'server.tls.clientCAFile',
        'authenticators[].passwordFile.groupsFile',
        'authenticators[].x509.authorities[].crlFile',
        'authenticators[].x509.authorities[].requireCrl',
        'authenticators[].keystone.caFile',
        'authenticators[].keystone.clientCertFile',
        'authenticators[].keystone.clientKeyFile',
        'authenticators[].keystone.passwords.project',
        'authenticators[].keystone.passwords.projectDomain',
        'authenticators[].ldap.caFile',
        'authenticators[].ldap.bindDn',
        'authenticators[].ldap.bindPasswordFile',
        'authenticators[].ldap.user.base',
        'authenticators[].ldap.user.filter',
        'authenticators[].ldap.user.dnTemplate',
        'authenticators[].ldap.attributes.uid',
        'authenticators[].oidc.discoveryUrl',
        'authenticators[].oidc.caFile',
        'authenticators[].oidc.usernameClaim',
        'authenticators[].oidc.usernamePrefix',
        'authenticators[].oidc.groupsClaim',
        'authenticators[].oidc.groupsPrefix',
        'authenticators[].oidc.claimMappings.username.claim',
        'authenticators[].oidc.claimMappings.username.expression',
        'authenticators[].oidc.claimMappings.username.prefix',
        'authenticators[].oidc.claimMappings.groups.claim',
        'authenticators[].oidc.claimMappings.groups.expression',
        'authenticators[].oidc.claimMappings.groups.prefix',
        'authenticators[].oidc.claimMappings.uid.claim',
        'authenticators[].oidc.claimMappings.uid.expression',
        'authenticators[].oidc.claimValidationRules[].claim',
        'authenticators[].oidc.claimValidationRules[].requiredValue',
        'authenticators[].oidc.claimValidationRules[].expression',
        'authenticators[].oidc.claimValidationRules[].message',
        'authenticators[].oidc.userValidationRules[].message',
        'authenticators[].mapping.usernamePrefix',
        'authenticators[].mapping.groupPrefix',
        'authenticators[].mapping.expressions.username',
        'authenticators[].mapping.expressions.groups',
        'authenticators[].mapping.expressions.rules[].message',
        'authenticators[].mapping.examples[].user.uid',
        'authenticators[].mapping.examples[].user.groups',
        'authenticators[].mapping.examples[].user.extra',
        'authenticators[].mapping.examples[].source',
        'authorizers[].rbac.manifests',
        'loginProtection.checks',
        'loginProtection.valkey.caFile',
        'loginProtection.valkey.username',
        'loginProtection.valkey.passwordFile',
        'proxy.tls.certFile',
        'proxy.tls.keyFile',
        'proxy.upstream.caFile',
        'proxy.upstream.clientCertFile',
        'proxy.upstream.clientKeyFile',
        'proxy.upstream.serverName',
        'kubernetes.kubeconfig',
        'recorder.path',
        'tracing.endpoint',
      ],
    )
    // Written out, the defaults give what leaving them out gives.
    const whole = structuredClone(WHOLE)
    for (const { path, defaultValue } of options) {
      const place = placeOf(path)
      if (defaultValue !== undefined && valueAt(whole, place) === undefined) setAt(whole, place, defaultValue)
    }
    assert.notDeepEqual(whole, WHOLE)
    assert.deepEqual(load(whole), load(WHOLE))
  })

  test('know the keys beside them', () => {
    assert.deepEqual(knownKeys([]), Object.keys(configSchema.shape))
    assert.deepEqual(knownKeys(['authenticators', '0']), SOURCES)
    assert.deepEqual(knownKeys(['authenticators', '0', 'ldap', 'attributes', 'extra', '0']), ['key', 'attribute'])
    assert.deepEqual(knownKeys(['authenticators', '3', 'tokenFile']), ['path', 'name'])
    assert.deepEqual(knownKeys(['authorizers', '0']), [
      'keystonePolicy',
      'rbac',
      'abac',
      'node',
      'webhook',
      'alwaysAllow',
      'alwaysDeny',
    ])
    assert.deepEqual(knownKeys(['authorizers', '0', 'abac']), ['name', 'path'])
    assert.deepEqual(knownKeys(['authorizers', '0', 'alwaysAllow']), [])
    assert.deepEqual(knownKeys(['cache']), ['ttl', 'negativeTtl', 'entries'])
    for (const path of [['cache', 'ttl'], ['audiences', '0'], ['nothing'], ['__proto__'], ['cache', 'constructor']]) {
      assert.deepEqual(knownKeys(path), [], path.join())
    }
  })
})

describe('kinds of items', () => {
  const kinds = listKinds()

  test('are all listed, in the order of the schema, one without options as well', () => {
    assert.deepEqual(
      kinds.map(({ name }) => name),
      [
        ...knownKeys(['authenticators', '0']).map((kind) => `authenticators[].${kind}`),
        ...knownKeys(['authorizers', '0']).map((kind) => `authorizers[].${kind}`),
      ],
    )
  })

  for (const { name, description } of kinds) {
    test(`${name} is described in a sentence`, () => assert.match(description, /^\S.{10,}\.$/))
  }
})

describe('the reference page', () => {
  const page = configReference()

  test('has every option once, in its section, with default, flag, variable and meaning', () => {
    const rows = new Map<string, string>()
    let section = ''
    for (const line of page.split('\n')) {
      section = /^## (.*)$/.exec(line)?.[1] ?? section
      const [, key] = /^\| `(\w+)` \|/.exec(line) ?? []
      if (key === undefined) continue
      const name = section === 'top level' ? key : `${section}.${key}`
      assert.ok(!rows.has(name), `${name} stands twice`)
      rows.set(name, line)
    }
    assert.deepEqual([...rows.keys()].sort(), options.map(({ name }) => name).sort())
    for (const { name, description, flag, env, defaultValue, required } of options) {
      const row = rows.get(name) ?? ''
      assert.ok(row.includes(description.replaceAll('|', '\\|')), name)
      if (flag !== undefined) assert.ok(row.includes(`\`--${flag}\``), name)
      if (env !== undefined) assert.ok(row.includes(`\`${env}\``), name)
      assert.equal(row.includes('| required |'), required, name)
      if (typeof defaultValue === 'number') assert.ok(row.includes(`\`${defaultValue}\``), name)
      assert.equal(row.split(/(?<!\\)\|/).length, 7, `${name}: five cells`)
    }
  })

  test('has every kind of item once, in order, with what it is', () => {
    const headings = [...page.matchAll(/^## (\w+\[\]\.\w+)\n\n(.*)$/gm)]
    assert.deepEqual(
      headings.map(([, name, description]) => ({ name, description })),
      listKinds(),
    )
  })

  test('shows an empty text as a value, and a duration as it is written', () => {
    assert.match(page, /\| `usernamePrefix` \| text \| `""` \|/)
    assert.match(page, /\| `ttl` \| text \| `30s` \|/)
    assert.match(page, /\| `clientNames` \| list of text \| `\[\]` \|/)
    assert.match(page, /\| `level` \| `error`, `warn`, `info`, `decision`, `debug` \| `decision` \|/)
  })

  test('comes out the same each time', () => assert.equal(configReference(), page))
})

describe('the JSON Schema', () => {
  interface Schema {
    readonly $schema?: string
    readonly title?: string
    readonly type?: string
    readonly properties?: Readonly<Record<string, Schema>>
    readonly items?: Schema
    readonly required?: readonly string[]
    readonly additionalProperties?: boolean | Schema
    readonly anyOf?: readonly Schema[]
    readonly description?: string
    readonly default?: unknown
    readonly enum?: readonly unknown[]
  }
  const schema = configJsonSchema() as Schema

  function* walk(node: Schema, name: string): Generator<readonly [string, Schema]> {
    yield [name, node]
    for (const [key, member] of Object.entries(node.properties ?? {})) {
      yield* walk(member, name === '' ? key : `${name}.${key}`)
    }
    if (node.items?.type === 'object') yield* walk(node.items, `${name}[]`)
  }
  const nodes = new Map(walk(schema, ''))

  test('is of draft 2020-12, has a title and is plain JSON', () => {
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
    assert.equal(schema.title, 'Archway configuration')
    assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema)
  })

  test('covers every kind of item, with its description', () => {
    for (const { name, description } of listKinds()) assert.equal(nodes.get(name)?.description, description, name)
  })

  test('covers every option, with its description and default', () => {
    for (const { name, description, defaultValue } of options) {
      const node = nodes.get(name)
      assert.ok(node !== undefined, name)
      assert.equal(node.description, description, name)
      assert.deepEqual(node.default, defaultValue, name)
    }
  })

  test('has nothing beside the options and their sections', () => {
    const names = options.map(({ name }) => name)
    for (const [name, { type, anyOf }] of nodes) {
      const isSection =
        name === '' ||
        listKinds().some((kind) => kind.name === name) ||
        names.some((option) => option.startsWith(`${name}.`) || option.startsWith(`${name}[]`))
      assert.ok(names.includes(name) || isSection, name)
      const kind = anyOf === undefined ? type : 'any of'
      assert.ok(
        ['object', 'array', 'string', 'integer', 'number', 'boolean', 'any of'].includes(kind ?? ''),
        `${name}: ${kind}`,
      )
    }
  })

  test('lets no unknown key pass anywhere', () => {
    for (const [name, { type, additionalProperties }] of nodes) {
      const isMap = options.some((option) => option.name === name && option.type === 'section')
      if (type === 'object') assert.equal(additionalProperties !== false, isMap, name)
    }
  })

  test('demands what has no default and no flag that could set it instead', () => {
    assert.deepEqual(schema.required, ['authenticators'])
    assert.deepEqual(nodes.get('authenticators[].keystone')?.required, ['url'])
    assert.deepEqual(nodes.get('authenticators[].tokenFile')?.required, ['path'])
    assert.deepEqual(nodes.get('authorizers[].abac')?.required, ['path'])
    assert.deepEqual(nodes.get('authorizers[].node')?.required, ['kubernetesMinor'])
    assert.deepEqual(nodes.get('authorizers[].webhook')?.required, ['kubeconfig'])
    for (const name of ['authorizers[].keystonePolicy', 'authorizers[].rbac', 'authorizers[].alwaysDeny', 'recorder']) {
      assert.equal(nodes.get(name)?.required, undefined)
    }
    for (const name of ['server', 'server.tls', 'cache', 'identity']) assert.equal(nodes.get(name)?.required, undefined)
  })
})
