/**
 * The keys of service accounts, checked: the one that signs tokens and the one that checks them.
 *
 * @module
 */
import { createPublicKey } from 'node:crypto'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { CheckedItem } from './check.ts'
import { isThere, readFile, readTextFile } from './files.ts'
import { type Finding, finding, when } from './findings.ts'
import { isSameKey, judgeKey, readKey } from './keys.ts'
import { serviceAccountPaths } from './layout.ts'

/** One item, or none where the folder has no such key. */
export function serviceAccountItem(folder: string): readonly CheckedItem[] {
  const { privateKey, publicKey } = serviceAccountPaths(folder)
  if (!isThere(privateKey)) return []
  return [{ name: 'sa', certificate: undefined, findings: findingsOfKeys(privateKey, publicKey) }]
}

function findingsOfKeys(privatePath: string, publicPath: string): readonly Finding[] {
  try {
    const { content, mode } = readFile(privatePath)
    const key = readKey(new Secret(content.toString('utf8')), { where: privatePath })
    const { algorithm, weakness } = judgeKey(key)
    const others = isThere(publicPath) ? publicKeysOf(publicPath) : undefined
    return [
      ...when(weakness !== undefined, 'critical', 'key_weak', `sa.key: ${weakness}`),
      ...when(algorithm === 'Ed25519', 'critical', 'key_weak', 'sa.key: Kubernetes signs no tokens with Ed25519'),
      ...when((mode & 0o077) !== 0, 'critical', 'file_mode', 'sa.key opens the key to others; chmod 600'),
      ...when(others === undefined, 'warning', 'key_missing', 'sa.pub is not beside sa.key'),
      ...when(
        others?.some((other) => isSameKey(other, key)) === false,
        'critical',
        'key_mismatch',
        'sa.pub is not of sa.key: no token that is signed from now on is good',
      ),
    ]
  } catch (thrown) {
    if (thrown instanceof ArchwayError) return [finding('unknown', 'file_unreadable', thrown.message)]
    throw thrown
  }
}

/** While keys are being changed there are several in the file. */
function publicKeysOf(path: string) {
  const blocks =
    readTextFile(path).match(/-----BEGIN [A-Z ]*PUBLIC KEY-----[^-]*-----END [A-Z ]*PUBLIC KEY-----/g) ?? []
  try {
    return blocks.map((pem) => createPublicKey(pem))
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: holds a public key that cannot be read`, { cause })
  }
}
