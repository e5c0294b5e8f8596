/** Settings without a disk: what stands on the command line, in the environment and in files, as one call. */

import type { LoginPlan, Question, Settings, Terminal } from '../../../src/credential/plan.ts'
import { parseFlags } from '../../../src/credential/settings/flags.ts'
import type { SettingsFile } from '../../../src/credential/settings/read-file.ts'
import { resolveSettings } from '../../../src/credential/settings/resolve.ts'
import { SETTINGS } from '../../../src/credential/settings/table.ts'
import { Secret } from '../../../src/secret.ts'

export interface Given {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** By absolute path; text alone belongs to the user and is for his eyes only. */
  readonly files?: Readonly<Record<string, string | Partial<SettingsFile> | Error>>
  readonly clusterConfig?: unknown
  readonly cwd?: string
  readonly platform?: NodeJS.Platform
}

export const CLOUDS = '/home/me/.config/openstack/clouds.yaml'
export const SECURE = '/home/me/.config/openstack/secure.yaml'
export const URL_OF_KEYSTONE = 'https://k.example/v3'

export function resolve(given: Given): Promise<Settings> {
  const { args = [], env = {}, files = {}, clusterConfig, cwd = '/here', platform = 'linux' } = given
  return resolveSettings({
    flags: parseFlags(args, SETTINGS),
    env,
    home: '/home/me',
    cwd,
    clusterConfig,
    platform,
    readText(path) {
      const file = Object.hasOwn(files, path) ? files[path] : undefined
      if (file === undefined) return undefined
      if (file instanceof Error) throw file
      return {
        text: '',
        readableByOthers: false,
        foreign: false,
        ...(typeof file === 'string' ? { text: file } : file),
      }
    },
    digest: (secret) => `digest of ${secret.reveal().length} characters`,
  })
}

/** The login where nothing is to be asked, secrets in clear. */
export async function planOf(given: Given): Promise<LoginPlan> {
  return (await resolve(given)).plan(undefined)
}

/** Somebody who answers in turn, and what he was asked. */
export function answering(...answers: readonly string[]): Terminal & { readonly asked: readonly Question[] } {
  const asked: Question[] = []
  return {
    asked,
    async ask(question) {
      asked.push(question)
      const answer = answers[asked.length - 1]
      if (answer === undefined) throw new Error(`nobody has an answer to ${question.prompt}`)
      return answer
    },
    say() {},
    close() {},
  }
}

/** A plan as data, so that secrets can be compared. */
export function inClear(value: unknown): unknown {
  if (value instanceof Secret) return { secret: value.reveal() }
  if (Array.isArray(value)) return value.map(inClear)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.map(([key, item]) => [key, inClear(item)]))
}
