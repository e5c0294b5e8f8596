/** The table of test suites: which files belong to each, which rigs it needs, how it is run. */

import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { RigName } from '../../test/rigs/script.ts'

export interface Suite {
  readonly name: string
  readonly does: string
  /** The files it exists for. */
  readonly files: RegExp
  /** Tests of the rigs it stands on, run with it. */
  readonly rigTests?: RegExp
  readonly needs: readonly RigName[]
  /** How many files run at once. */
  readonly concurrency: number
  /** When the whole suite is given up. */
  readonly limitMinutes: number
}

/** In the order they run. A file of test/ that none of them takes is an error. */
export const SUITES: readonly Suite[] = [
  {
    name: 'unit',
    does: 'everything that needs no server: test/**, without test/e2e and test/rigs',
    files: /^test\/(?!e2e\/|rigs\/)/,
    needs: [],
    concurrency: availableParallelism(),
    limitMinutes: 10,
  },
  {
    name: 'keystone',
    does: 'against a real Keystone: test/e2e/keystone*',
    files: /^test\/e2e\/keystone[^/]*$/,
    rigTests: /^test\/rigs\/keystone[^/]*$/,
    needs: ['keystone'],
    concurrency: 1,
    limitMinutes: 15,
  },
  {
    name: 'kubernetes',
    does: 'kubectl against a real kube-apiserver and Keystone: test/e2e/kubernetes*',
    files: /^test\/e2e\/kubernetes[^/]*$/,
    rigTests: /^test\/rigs\/kube-apiserver[^/]*$/,
    needs: ['keystone', 'kube-apiserver'],
    concurrency: 1,
    limitMinutes: 20,
  },
  {
    name: 'proxy',
    does: 'the proxy in front of real API servers, and nginx beside it: test/e2e/proxy*',
    files: /^test\/e2e\/proxy[^/]*$/,
    rigTests: /^test\/rigs\/(?:nginx|kubelet-stand-in)[^/]*$/,
    needs: ['keystone', 'kube-apiserver', 'kubectl', 'kubelet-stand-in', 'nginx'],
    concurrency: 1,
    limitMinutes: 20,
  },
  {
    name: 'pki',
    does: 'a kube-apiserver and etcd on nothing but our certificates, and requests through its API: test/e2e/{pki,csr}*',
    files: /^test\/e2e\/(?:pki|csr)[^/]*$/,
    needs: ['kube-apiserver'],
    concurrency: 1,
    limitMinutes: 20,
  },
  {
    name: 'credential',
    does: 'logins of kubectl, and the keyring they are kept by: test/e2e/credential*',
    files: /^test\/e2e\/credential[^/]*$/,
    rigTests: /^test\/rigs\/keyring[^/]*$/,
    needs: ['keystone', 'kube-apiserver', 'kubectl', 'keyring'],
    concurrency: 1,
    limitMinutes: 20,
  },
  {
    name: 'executable',
    does: 'the single executable of the credential plugin: test/e2e/executable*',
    files: /^test\/e2e\/executable[^/]*$/,
    needs: ['keystone', 'executable'],
    concurrency: 1,
    limitMinutes: 15,
  },
  {
    name: 'ldap',
    does: 'against a real OpenLDAP: test/e2e/ldap*',
    files: /^test\/e2e\/ldap[^/]*$/,
    rigTests: /^test\/rigs\/slapd[^/]*$/,
    needs: ['slapd'],
    concurrency: 1,
    limitMinutes: 10,
  },
  {
    name: 'identity',
    does: 'every kind of source at once, with real servers behind them: test/e2e/identity*',
    files: /^test\/e2e\/identity[^/]*$/,
    needs: ['keystone', 'kube-apiserver', 'slapd'],
    concurrency: 1,
    limitMinutes: 15,
  },
  {
    name: 'valkey',
    does: 'against a real Redis: test/e2e/valkey*',
    files: /^test\/e2e\/valkey[^/]*$/,
    rigTests: /^test\/rigs\/valkey[^/]*$/,
    needs: ['valkey'],
    concurrency: 1,
    limitMinutes: 10,
  },
]

/** Every test file of the checkout, as a path from its root. */
export function testFiles(root: string): string[] {
  return globSync('test/**/*.test.ts', { cwd: root }).sort()
}

export function suiteOf(file: string): Suite {
  const suite = SUITES.find(({ files, rigTests }) => files.test(file) || rigTests?.test(file))
  if (suite === undefined)
    throw new Error(`${file} belongs to no suite: rename it, or register its suite in tools/testing/suites.ts`)
  return suite
}
