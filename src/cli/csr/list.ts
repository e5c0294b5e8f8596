/**
 * `archway csr list`: the requests of the cluster, decoded, with what is to be thought of each.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { conditionOf } from '../../kube/certificate-signing-request.ts'
import { certificateRequests } from '../../kube/certificates-client.ts'
import { review } from '../../signer/findings.ts'
import type { CommandIo } from '../io.ts'
import { asJson } from '../terminal.ts'
import { addClusterFlags, type ClusterFlags, ending, withCluster } from './cluster.ts'
import { asDocument, table } from './render.ts'
import { addReviewFlags, findingsOptions, type ReviewFlags } from './review-flags.ts'

const EXAMPLES = `
Examples:
  archway csr list
  archway csr list --pending -o wide
  archway csr list --signer example.com/people --known-signer example.com/people
  archway csr list -o json | jq '.[] | select(.findings | any(.severity == "hostile")) | .name'

Status 0: listed; 1: the API server refuses; 2: a wrong command line or kubeconfig; 3: no answer.
`

interface ListFlags extends ClusterFlags, ReviewFlags {
  readonly signer?: string
  readonly pending?: boolean
  readonly output: string
}

export function addListCommand(csr: Command, io: CommandIo, done: (status: number) => void): void {
  const command = csr
    .command('list')
    .description('list the requests with what is to be thought of them')
    .option('--signer <NAME>', 'only those for this signer')
    .option('--pending', 'only those that nobody has decided')
    .addOption(new Option('-o, --output <FORM>', 'how').choices(['table', 'wide', 'json']).default('table'))
  addClusterFlags(addReviewFlags(command))
    .addHelpText('after', EXAMPLES)
    .action((flags: ListFlags) =>
      ending(async () => {
        const found = await withCluster(flags, io, (client) => certificateRequests(client).list())
        const wanted = found.filter(
          (one) =>
            (flags.signer === undefined || one.signerName === flags.signer) &&
            (flags.pending !== true || (conditionOf(one, 'Approved') ?? conditionOf(one, 'Denied')) === undefined),
        )
        const reviewed = wanted.map((one) => review(one, findingsOptions(flags)))
        if (flags.output === 'json') io.out(asJson(reviewed.map(asDocument)))
        else if (reviewed.length === 0) io.err('archway: no requests\n')
        else io.out(table(reviewed, new Date(), flags.output === 'wide'))
        done(0)
      }),
    )
}
