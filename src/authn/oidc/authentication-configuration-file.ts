/**
 * Issuers from an AuthenticationConfiguration file, followed while we run as kube-apiserver follows it. Owns what a
 * change does: rules are swapped whole, and keys of an issuer that is asked as before are kept, so that a change of
 * rules needs no issuer that answers.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import type { FileReads } from '../../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../../reload/reloading.ts'
import { SKIPPED, type TokenAuthenticator } from '../authenticator.ts'
import { union } from '../union.ts'
import type { SigningAlgorithm } from './algorithms.ts'
import {
  type AuthenticationConfiguration,
  type IssuerSettings,
  parseAuthenticationConfiguration,
} from './authentication-configuration.ts'
import { claimMapping } from './claim-mapping.ts'
import { type IssuerKeys, type IssuerKeysOptions, issuerKeys } from './issuer-keys.ts'
import { oidcToken } from './oidc-token.ts'

export interface AuthenticationConfigurationFileOptions {
  readonly path: string
  readonly log: CallLog
  /** Default `oidc`. Each issuer is a source of its own: `oidc https://issuer.example`. */
  readonly name?: string
  readonly algorithms?: readonly SigningAlgorithm[]
  readonly leewayMs?: number
  readonly maxTokenLength?: number
  /** What issuers are asked with, beside what the file says. */
  readonly keys?: Partial<Omit<IssuerKeysOptions, 'issuer' | 'discoveryUrl' | 'ca' | 'log'>>
  /** After the rules have changed: what remembers results of the old ones forgets them. */
  readonly onChange?: () => void
  readonly now?: () => Date
  /** See {@link reloading}. */
  readonly intervalMs?: number
  readonly reads?: FileReads
}

export interface AuthenticationConfigurationFile
  extends TokenAuthenticator,
    Pick<Reloading<unknown>, 'check' | 'close'> {
  status(): ReloadStatus
  /** Keys of every issuer in force, for readiness. */
  issuers(): readonly IssuerKeys[]
  /** The section on anonymous requests, which is kube-apiserver's to obey. */
  anonymous(): AuthenticationConfiguration['anonymous']
}

interface InForce {
  readonly authenticator: TokenAuthenticator
  readonly keys: ReadonlyMap<string, IssuerKeys>
  readonly anonymous: AuthenticationConfiguration['anonymous']
}

/** Throws `file_invalid` when the file cannot be used at start; later mistakes leave the last good rules in force. */
export async function authenticationConfigurationFile(
  options: AuthenticationConfigurationFileOptions,
): Promise<AuthenticationConfigurationFile> {
  const { path, log, name = 'oidc', onChange, intervalMs, now, reads } = options
  let known: ReadonlyMap<string, IssuerKeys> = new Map()
  const file = await reloading<InForce>({
    name,
    paths: [path],
    log,
    load: (files) => build(parseAuthenticationConfiguration(Buffer.concat([...files.values()]), path)),
    onChange: (next) => {
      adopt(next)
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(now === undefined ? {} : { now }),
    ...(reads === undefined ? {} : { reads }),
  })
  adopt(file.current())

  return {
    name,
    authenticate: (token, ctx) => file.current().authenticator.authenticate(token, ctx),
    check: file.check,
    status: file.status,
    issuers: () => [...file.current().keys.values()],
    anonymous: () => file.current().anonymous,
    close() {
      file.close()
      for (const keys of known.values()) keys.close()
    },
  }

  function build({ issuers, anonymous }: AuthenticationConfiguration): InForce {
    const keys = new Map(
      issuers.map((settings) => [identityOf(settings), known.get(identityOf(settings)) ?? open(settings)]),
    )
    const members = issuers.flatMap((settings) => {
      const found = keys.get(identityOf(settings))
      return found === undefined ? [] : [member(settings, found)]
    })
    return { authenticator: members.length === 0 ? nobody(name) : union(members), keys, anonymous }
  }

  function open({ issuer, discoveryUrl, ca }: IssuerSettings): IssuerKeys {
    return issuerKeys({
      ...options.keys,
      issuer,
      log,
      ...(discoveryUrl === undefined ? {} : { discoveryUrl }),
      ...(ca === undefined ? {} : { ca: () => ca }),
    })
  }

  function member({ issuer, audiences, rules }: IssuerSettings, keys: IssuerKeys): TokenAuthenticator {
    const { algorithms, leewayMs, maxTokenLength } = options
    return oidcToken({
      name: `${name} ${issuer}`,
      keys,
      audiences,
      mapping: claimMapping(rules),
      ...(algorithms === undefined ? {} : { algorithms }),
      ...(leewayMs === undefined ? {} : { leewayMs }),
      ...(maxTokenLength === undefined ? {} : { maxTokenLength }),
      ...(now === undefined ? {} : { now }),
    })
  }

  function adopt({ keys }: InForce): void {
    const current = new Set(keys.values())
    for (const old of known.values()) if (!current.has(old)) old.close()
    known = keys
  }
}

/** What has to be equal for keys to be the same. */
function identityOf({ issuer, discoveryUrl, ca }: IssuerSettings): string {
  return JSON.stringify([issuer, discoveryUrl, ca])
}

function nobody(name: string): TokenAuthenticator {
  return { name, authenticate: async () => SKIPPED, recall: () => SKIPPED }
}
