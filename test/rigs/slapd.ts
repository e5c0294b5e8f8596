/** The OpenLDAP rig for tests, one of a test's own: to fill, stop, kill and start again. */

import { readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Attribute, Change, Client } from 'ldapts'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

/** Attributes of an entry; text is sent as UTF-8. */
export type Attributes = Readonly<Record<string, string | readonly string[] | readonly Buffer[]>>

export interface SlapdRig {
  readonly dir: string
  readonly port: number
  /** `ldap://127.0.0.1:PORT`, with StartTLS. */
  readonly url: string
  /** `ldaps://127.0.0.1:PORT+1` */
  readonly ldapsUrl: string
  /** Of the CA that the server's certificate for `127.0.0.1` and `localhost` is from. */
  readonly caFile: string
  readonly base: string
  /** May do everything, and is not held to limits. */
  readonly adminDn: string
  readonly adminPassword: string
  add(dn: string, attributes: Attributes): Promise<void>
  /** Replaces all values of one attribute. */
  replace(dn: string, attribute: string, values: readonly string[]): Promise<void>
  /** Many entries over one connection. */
  addAll(entries: Iterable<readonly [dn: string, attributes: Attributes]>): Promise<void>
  /** One line for each operation since the last start, as slapd has them: `conn=1001 op=0 BIND dn="" method=128`. */
  log(): Promise<string[]>
  /** Goes away in order; data and address stay. */
  stop(): Promise<void>
  /** Goes away at once. */
  kill(): Promise<void>
  /** Comes back at the same address. */
  start(): Promise<void>
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a server with alice (`alice-pw`) and bob (`bob-pw`), in the groups admins (alice) and devs (both). */
export async function startSlapd(): Promise<SlapdRig> {
  const dir = join(newFolder('slapd'), 'rig')
  const port = await freePorts(2)
  recordRig('slapd', dir)
  await runRig('slapd', ['start', dir, String(port)])
  const url = `ldap://127.0.0.1:${port}`
  const base = 'dc=example,dc=org'
  const [adminDn, adminPassword] = [`cn=admin,${base}`, 'admin']

  async function asAdmin<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({ url, timeout: 30_000, connectTimeout: 30_000 })
    try {
      await client.bind(adminDn, adminPassword)
      return await use(client)
    } finally {
      await client.unbind()
    }
  }

  const rig: SlapdRig = {
    dir,
    port,
    url,
    ldapsUrl: `ldaps://127.0.0.1:${port + 1}`,
    caFile: join(dir, 'ca.crt'),
    base,
    adminDn,
    adminPassword,
    add: (dn, attributes) => rig.addAll([[dn, attributes]]),
    addAll: (entries) =>
      asAdmin(async (client) => {
        for (const [dn, attributes] of entries) await client.add(dn, Object.entries(attributes).map(toAttribute))
      }),
    replace: (dn, attribute, values) =>
      asAdmin((client) =>
        client.modify(dn, new Change({ operation: 'replace', modification: toAttribute([attribute, values]) })),
      ),
    async log() {
      const text = await readFile(join(dir, 'slapd.log'), 'utf8')
      return [...text.matchAll(/conn=\d+ (?:op|fd)=.*/g)].map(([line]) => line)
    },
    async stop() {
      await runRig('slapd', ['stop', dir])
    },
    async kill() {
      process.kill(Number(await readFile(join(dir, 'slapd.pid'), 'utf8')), 'SIGKILL')
      await runRig('slapd', ['stop', dir]) // finds it gone, or waits for that
    },
    async start() {
      await runRig('slapd', ['start', dir, String(port)])
    },
    async [Symbol.asyncDispose]() {
      await rig.stop()
      await rm(dirname(dir), { recursive: true, force: true })
    },
  }
  return rig
}

function toAttribute([type, values]: readonly [string, Attributes[string]]): Attribute {
  const list = typeof values === 'string' ? [values] : [...values]
  const buffers = list.map((value) => (typeof value === 'string' ? Buffer.from(value) : value))
  return new Attribute({ type, values: buffers })
}
