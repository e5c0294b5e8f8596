/**
 * What is still to be asked, and the asking. Owns the texts, their order, and what is said where nobody can be asked.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { Question, Terminal } from '../plan.ts'
import { identityAddress } from './addresses.ts'
import { type SettingName, whereToGive } from './table.ts'

/** Something a login may lack. The order of the table is the order of the questions; the first five are the predecessor's. */
const ASKABLE = {
  url: { noun: 'Keystone Auth URL', hidden: false, setting: 'authUrl' },
  domain: { noun: 'domain name', hidden: false, setting: 'domainName' },
  user: { noun: 'user name', hidden: false, setting: 'username' },
  project: { noun: 'project name', hidden: false, setting: 'projectName' },
  password: { noun: 'password', hidden: true, setting: 'password' },
  passcode: { noun: 'passcode', hidden: true, setting: 'passcode' },
  token: { noun: 'token', hidden: true, setting: 'token' },
  applicationCredentialSecret: {
    noun: 'application credential secret',
    hidden: true,
    setting: 'applicationCredentialSecret',
  },
  accessToken: { noun: 'access token', hidden: true, setting: 'accessToken' },
} as const satisfies Record<string, { readonly noun: string; readonly hidden: boolean; readonly setting: SettingName }>

export type Askable = keyof typeof ASKABLE
/** What is asked without echo. */
export type AskableSecret = { [Name in Askable]: (typeof ASKABLE)[Name]['hidden'] extends true ? Name : never }[Askable]
export type AskableText = Exclude<Askable, AskableSecret>

/** What a login lacks. */
export interface Lacking {
  /** Without these there is no login. */
  readonly required: ReadonlySet<Askable>
  /** Asked along with required ones, and answered by Enter alone where there is nothing to say. */
  readonly optional: ReadonlySet<Askable>
}

/** The answers that were given. */
export interface Answers {
  text(name: AskableText): string | undefined
  secret(name: AskableSecret): Secret | undefined
}

const NO_ANSWERS: Answers = { text: () => undefined, secret: () => undefined }

/** The questions in order; none where nothing is required. */
export function questionsOf({ required, optional }: Lacking): readonly (Question & { readonly name: Askable })[] {
  if (required.size === 0) return []
  return (Object.keys(ASKABLE) as Askable[])
    .filter((name) => required.has(name) || optional.has(name))
    .map((name) => ({ name, prompt: `Please enter ${ASKABLE[name].noun}: `, hidden: ASKABLE[name].hidden }))
}

/**
 * Asks all of it. An answer is the whole line (C-07).
 *
 * @throws ArchwayError `credential_input_needed` where there is no terminal, naming all that is missing and where each
 * can be given; or where something required is answered by nothing.
 */
export async function ask(lacking: Lacking, terminal: Terminal | undefined): Promise<Answers> {
  const questions = questionsOf(lacking)
  if (questions.length === 0) return NO_ANSWERS
  if (terminal === undefined) throw new ArchwayError('credential_input_needed', missing(lacking))
  const texts = new Map<string, string>()
  const secrets = new Map<string, Secret>()
  for (const { name, prompt, hidden } of questions) {
    const answer = await terminal.ask({ prompt, hidden })
    if (answer === '' && lacking.required.has(name)) {
      throw new ArchwayError(
        'credential_input_needed',
        `no ${ASKABLE[name].noun} was entered: enter it, or give ${whereToGive(ASKABLE[name].setting)}`,
      )
    }
    if (answer === '') continue
    if (name === 'url') identityAddress(answer.trim(), 'the address entered')
    if (hidden) secrets.set(name, new Secret(answer))
    else texts.set(name, answer)
  }
  return { text: (name) => texts.get(name), secret: (name) => secrets.get(name) }
}

function missing({ required }: Lacking): string {
  const each = (Object.keys(ASKABLE) as Askable[])
    .filter((name) => required.has(name))
    .map((name) => `${ASKABLE[name].noun} (${whereToGive(ASKABLE[name].setting)})`)
  return `missing, and nobody can be asked: ${each.join(', ')}`
}
