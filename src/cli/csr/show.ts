/**
 * `archway csr show`: one request, decoded, and what is to be thought of it.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { certificateRequests } from '../../kube/certificates-client.ts'
import { review } from '../../signer/findings.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { asJson } from '../terminal.ts'
import { addClusterFlags, type ClusterFlags, ending, withCluster } from './cluster.ts'
import { asDocument, described } from './render.ts'
import { addReviewFlags, findingsOptions, type ReviewFlags } from './review-flags.ts'

const EXAMPLES = `
Examples:
  archway csr show jane-x7k2p
  archway csr show jane-x7k2p -o json | jq -r .digest

Status 0: shown; 1: there is none of that name, or the API server refuses; 2: a wrong command line or kubeconfig;
3: no answer.
`

interface ShowFlags extends ClusterFlags, ReviewFlags {
  readonly output: string
}

export function addShowCommand(csr: Command, io: CommandIo, done: (status: number) => void): void {
  const command = csr
    .command('show')
    .description('show one request, decoded, with what is to be thought of it')
    .argument('<name>', 'name of the request')
    .addOption(new Option('-o, --output <FORM>', 'how').choices(['text', 'json']).default('text'))
  addClusterFlags(addReviewFlags(command))
    .addHelpText('after', EXAMPLES)
    .action((name: string, flags: ShowFlags) =>
      ending(async () => {
        const found = await withCluster(flags, io, (client) => certificateRequests(client).get(name))
        if (found === undefined) throw new ExitError(1, `archway: there is no request ${JSON.stringify(name)}`)
        const reviewed = review(found, findingsOptions(flags))
        io.out(flags.output === 'json' ? asJson(asDocument(reviewed)) : described(reviewed, new Date()))
        done(0)
      }),
    )
}
