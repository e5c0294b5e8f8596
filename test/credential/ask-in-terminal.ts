/**
 * A program that asks: each argument is a question, hidden with `!` in front. Writes the answers as JSON to stdout, or
 * the code of the error, and says on stderr when the terminal is given back, and when the client is interrupted with it.
 *
 * usage: node ask-in-terminal.ts [--listen] [--again] [--exit-at=QUESTION] [--close-at=QUESTION] QUESTION…
 */

import { openTerminal } from '../../src/credential/terminal.ts'
import { ArchwayError } from '../../src/errors.ts'

const words = process.argv.slice(2)
const option = (name: string): string | undefined =>
  words.find((word) => word.startsWith(`--${name}`))?.slice(name.length + 3)

const terminal = openTerminal({
  interactive: process.env['INTERACTIVE'] === 'no' ? false : undefined,
  interrupted: () => process.stderr.write('the client is told\n'),
})
if (terminal === undefined) console.log('no terminal')
else {
  if (option('listen') !== undefined) process.on('SIGTERM', () => process.stderr.write('heard\n'))
  try {
    const answers: string[] = []
    for (const word of words.filter((text) => !text.startsWith('--'))) {
      const answer = terminal.ask({
        prompt: `${word.replace('!', '')} (${process.pid}): `,
        hidden: word.startsWith('!'),
      })
      if (option('exit-at') === word) process.exit(7)
      if (option('close-at') === word) terminal.close()
      answers.push(await answer)
    }
    console.log(JSON.stringify(answers))
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError)) throw thrown
    console.log(thrown.code)
    process.exitCode = 3
    if (option('again') !== undefined) {
      const end = openTerminal()?.ask({ prompt: 'again: ', hidden: false })
      await end?.catch((again: unknown) => console.log(again instanceof ArchwayError ? again.code : again))
    }
  }
  terminal.say('given back')
  terminal.close()
}
