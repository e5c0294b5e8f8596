/**
 * `archway csr approve` and `deny`: the request is shown with its findings, then decided, exactly as it was shown.
 *
 * @module
 */
import type { Command } from 'commander'
import { type CertificateRequests, certificateRequests } from '../../kube/certificates-client.ts'
import { type DecisionOutcome, decideRequest, digestOf, type NewDecision } from '../../signer/decision.ts'
import type { FindingCode } from '../../signer/finding.ts'
import { type Reviewed, review } from '../../signer/findings.ts'
import { type CommandIo, ExitError } from '../io.ts'
import type { PasswordPrompt } from '../passwd.ts'
import { addClusterFlags, type ClusterFlags, ending, withCluster } from './cluster.ts'
import { described } from './render.ts'
import { addKnownFlag, addReviewFlags, findingsOptions, type ReviewFlags, unknownFindings } from './review-flags.ts'

const APPROVE_EXAMPLES = `
Examples:
  archway csr approve jane-x7k2p
  archway csr approve jane-x7k2p --yes --message "ticket 4711"
  archway csr approve john-5dd2c --i-know foreign-user --yes      # an administrator has created it for john
  archway csr approve jane-x7k2p --digest sha256:… --yes          # the one that csr show has shown, or none

A request with a hostile finding is refused unless each of its findings is named with --i-know. What is approved is
what was shown: a request that has another content by then is refused.
Status 0: approved, or it was before; 1: refused; 2: a wrong command line or kubeconfig; 3: no answer.
`

const DENY_EXAMPLES = `
Examples:
  archway csr deny jane-x7k2p --message "ask with your own name"

Status 0: denied, or it was before; 1: refused; 2: a wrong command line or kubeconfig; 3: no answer.
`

interface DecisionFlags extends ClusterFlags, ReviewFlags {
  readonly iKnow?: readonly FindingCode[]
  readonly digest?: string
  readonly reason?: string
  readonly message?: string
  readonly yes?: boolean
}

type OpenPrompt = () => PasswordPrompt | undefined

export function addDecisionCommands(
  csr: Command,
  io: CommandIo,
  done: (status: number) => void,
  openPrompt: OpenPrompt,
): void {
  const approve = csr
    .command('approve')
    .description('approve a request after a look at it')
    .argument('<name>', 'name of the request')
  addFlags(addKnownFlag(addReviewFlags(approve)), APPROVE_EXAMPLES).action((name: string, flags: DecisionFlags) =>
    ending(async () => {
      await decide(name, 'Approved', flags, io, openPrompt)
      done(0)
    }),
  )
  const deny = csr.command('deny').description('deny a request').argument('<name>', 'name of the request')
  addFlags(addReviewFlags(deny), DENY_EXAMPLES).action((name: string, flags: DecisionFlags) =>
    ending(async () => {
      await decide(name, 'Denied', flags, io, openPrompt)
      done(0)
    }),
  )
}

function addFlags(command: Command, examples: string): Command {
  command
    .option('--digest <DIGEST>', 'only where it is still the request with this digest')
    .option('--reason <WORD>', 'one word for programs')
    .option('--message <TEXT>', 'a sentence for people')
    .option('-y, --yes', 'do not ask')
  return addClusterFlags(command).addHelpText('after', examples)
}

async function decide(
  name: string,
  type: NewDecision['type'],
  flags: DecisionFlags,
  io: CommandIo,
  openPrompt: OpenPrompt,
): Promise<void> {
  await withCluster(flags, io, async (client) => {
    const requests = certificateRequests(client)
    const reviewed = await look(requests, name, flags, io)
    if (type === 'Approved') refuseHostile(reviewed, flags)
    if (flags.yes !== true) await confirm(type, name, openPrompt)
    const decision: NewDecision = {
      type,
      reason: flags.reason ?? (type === 'Approved' ? 'ArchwayApprove' : 'ArchwayDeny'),
      message: flags.message ?? messageFor(type, flags.iKnow ?? []),
    }
    report(await decideRequest(requests, reviewed.csr, decision), name, type, io)
  })
}

function messageFor(type: NewDecision['type'], iKnow: readonly FindingCode[]): string {
  if (type === 'Denied') return 'denied with archway csr deny'
  const known = iKnow.length === 0 ? '' : `, in spite of ${iKnow.join(', ')}`
  return `approved with archway csr approve${known}`
}

async function look(
  requests: CertificateRequests,
  name: string,
  flags: DecisionFlags,
  io: CommandIo,
): Promise<Reviewed> {
  const found = await requests.get(name)
  if (found === undefined) throw new ExitError(1, `archway: there is no request ${JSON.stringify(name)}`)
  const reviewed = review(found, findingsOptions(flags))
  io.out(described(reviewed, new Date()))
  const digest = digestOf(found)
  if (flags.digest !== undefined && flags.digest !== digest) {
    throw new ExitError(1, 'archway: this is another request than the one with that --digest; nothing was decided')
  }
  return reviewed
}

function refuseHostile(reviewed: Reviewed, { iKnow = [] }: DecisionFlags): void {
  if (reviewed.request === undefined) {
    throw new ExitError(1, 'archway: not approved: nobody can tell what is asked for. archway csr deny denies it')
  }
  const unknown = unknownFindings(reviewed, iKnow)
  if (unknown.length === 0) return
  const remedy = `archway csr deny denies it; to approve it all the same: ${unknown.map((code) => `--i-know ${code}`).join(' ')}`
  throw new ExitError(1, `archway: not approved, for ${unknown.join(', ')}. ${remedy}`)
}

async function confirm(type: NewDecision['type'], name: string, openPrompt: OpenPrompt): Promise<void> {
  const prompt = openPrompt()
  if (prompt === undefined) {
    throw new ExitError(2, 'archway: standard input is no terminal, so nobody can be asked. Say --yes')
  }
  try {
    const verb = type === 'Approved' ? 'Approve' : 'Deny'
    const answer = await prompt.ask({ prompt: `${verb} ${JSON.stringify(name)}? (yes or no) `, hidden: false })
    if (answer.trim().toLowerCase() !== 'yes') throw new ExitError(1, 'archway: nothing was decided')
  } finally {
    prompt.close()
  }
}

function report(outcome: DecisionOutcome, name: string, type: NewDecision['type'], io: CommandIo): void {
  const verb = type === 'Approved' ? 'approved' : 'denied'
  const refusal = (why: string): ExitError => new ExitError(1, `archway: not ${verb}: ${why}`)
  switch (outcome.kind) {
    case 'written':
      io.out(`${verb} ${JSON.stringify(name)}\n`)
      return
    case 'already':
      io.out(`${JSON.stringify(name)} was ${verb} before\n`)
      return
    case 'opposite':
      throw refusal(`it is ${type === 'Approved' ? 'denied' : 'approved'} already, which cannot be taken back`)
    case 'changed':
      throw refusal('there is another request of that name now than the one shown. Look at it again')
    case 'gone':
      throw refusal('it was removed in the meantime')
    default:
      outcome satisfies never
  }
}
