/**
 * Who besides us may read or write a file that holds a secret. Owns the judgement and its wording; leaves to the
 * reader of the file when to say it.
 *
 * @module
 */

const OTHERS = 0o007
const GROUP_WRITE = 0o020

/**
 * What to tell an operator about the mode of a file with tokens or keys; undefined when nothing is amiss.
 *
 * A warning and never a refusal: Kubernetes mounts secrets 0644 unless told otherwise.
 */
export function permissionWarning(path: string, mode: number): string | undefined {
  const who = [...((mode & OTHERS) === 0 ? [] : ['every user of this machine']), ...groupWriters(mode)]
  if (who.length === 0) return undefined
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  return (
    `${path}: mode ${octal} lets ${who.join(' and ')} at a file that holds secrets. ` +
    'Set 0600, or 0640 with a group of its own; for a volume from a Kubernetes Secret set `defaultMode: 0440`'
  )
}

function groupWriters(mode: number): readonly string[] {
  return (mode & GROUP_WRITE) === 0 ? [] : ['its group, with the right to write,']
}
