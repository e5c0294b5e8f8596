/**
 * Where what lies in a cluster's folder of certificates: kubeadm's layout (`/etc/kubernetes/pki`), and an authority for
 * webhooks beside it.
 *
 * @see https://kubernetes.io/docs/setup/best-practices/certificates/
 * @module
 */
import { join } from 'node:path'

/** The authorities, by the path of their files without the ending. */
export const AUTHORITIES = {
  ca: { commonName: 'kubernetes', certifies: 'kube-apiserver, and clients of it' },
  'front-proxy-ca': {
    commonName: 'front-proxy-ca',
    certifies: 'proxies that kube-apiserver believes in X-Remote-User',
  },
  'etcd/ca': { commonName: 'etcd-ca', certifies: 'etcd, and clients of it' },
  'webhook-ca': { commonName: 'webhook-ca', certifies: 'webhooks that kube-apiserver calls, Archway too' },
} as const

export type AuthorityName = keyof typeof AUTHORITIES

export const AUTHORITY_NAMES = Object.keys(AUTHORITIES) as readonly AuthorityName[]

/** A certificate and its key. */
export interface PairPaths {
  readonly certificate: string
  readonly key: string
}

export function pairPaths(folder: string, name: string): PairPaths {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
}

/** The key that service-account tokens are signed with, and the half that checks them. */
export function serviceAccountPaths(folder: string): { readonly privateKey: string; readonly publicKey: string } {
  return { privateKey: join(folder, 'sa.key'), publicKey: join(folder, 'sa.pub') }
}
