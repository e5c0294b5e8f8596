/** Replaces the file of its argument again and again, and says so with a byte each time; to be killed. */
import { writeSync } from 'node:fs'
import { readKubeconfigFile, replaceKubeconfigFile } from '../../../src/kube/kubeconfig-file/replace-file.ts'

const [path = ''] = process.argv.slice(2)
for (;;) {
  const previous = readKubeconfigFile(path)?.toString()
  const content = `${(previous?.startsWith('a') ? 'b' : 'a').repeat(300_000)}\n`
  replaceKubeconfigFile({ path, content, previous, backup: false, now: new Date() })
  writeSync(1, '.')
}
