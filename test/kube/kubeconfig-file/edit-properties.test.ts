/** Editing keeps every byte that it does not mean. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type KubeconfigDocument, parseKubeconfig } from '../../../src/kube/kubeconfig-file/document.ts'
import { editKubeconfig } from '../../../src/kube/kubeconfig-file/edit.ts'
import { type Entry, LIST_OF } from '../../../src/kube/kubeconfig-file/entries.ts'
import { entry, kubeconfigText, word } from './arbitraries.ts'

const RUNS = { numRuns: 80 }

/** What one splice took out of the old text, and what it put in. */
function spliceBetween(old: string, next: string): { at: number; removed: string; inserted: string } {
  let start = 0
  while (start < old.length && old[start] === next[start]) start++
  let tail = 0
  while (tail < old.length - start && tail < next.length - start && old.at(-1 - tail) === next.at(-1 - tail)) tail++
  return { at: start, removed: old.slice(start, old.length - tail), inserted: next.slice(start, next.length - tail) }
}

function itemIn(document: KubeconfigDocument, { kind, name }: Entry): { from: number; to: number } | undefined {
  const list: unknown = document.root?.get(LIST_OF[kind], true)
  const items = (list as { items?: { get(key: string): unknown; range: [number, number, number] }[] }).items ?? []
  const found = items.find((item) => item.get('name') === name)
  return found && { from: found.range[0], to: found.range[2] }
}

describe('editing a kubeconfig', () => {
  test('one entry: nothing but its own text changes', () => {
    fc.assert(
      fc.property(kubeconfigText, entry, (text, wanted) => {
        const before = parseKubeconfig('file', text)
        const after = editKubeconfig(before, { entries: [wanted] })
        const { at, removed } = spliceBetween(before.text, after.text)
        const place = before.entry(wanted.kind, wanted.name) === undefined ? undefined : itemIn(before, wanted)
        if (place === undefined)
          assert.match(removed, /^[\s[\]nul]*$/) // an empty list, or none
        else assert.ok(at >= place.from && at + removed.length <= place.to, removed)
      }),
      RUNS,
    )
  })

  test('the entry is as wanted, and all other data as it was', () => {
    fc.assert(
      fc.property(kubeconfigText, entry, (text, wanted) => {
        const before = parseKubeconfig('file', text)
        const after = editKubeconfig(before, { entries: [wanted] })
        assert.deepEqual(
          JSON.parse(JSON.stringify(after.entry(wanted.kind, wanted.name))),
          JSON.parse(JSON.stringify(wanted.settings)),
        )
        for (const kind of ['cluster', 'user', 'context'] as const) {
          const others = before.names(kind).filter((name) => kind !== wanted.kind || name !== wanted.name)
          for (const name of others) assert.deepEqual(after.entry(kind, name), before.entry(kind, name))
        }
        assert.equal(after.currentContext, before.currentContext)
        assert.deepEqual(
          Object.keys(after.value).filter((key) => key !== LIST_OF[wanted.kind]),
          Object.keys(before.value).filter((key) => key !== LIST_OF[wanted.kind]),
        )
      }),
      RUNS,
    )
  })

  test('twice is once', () => {
    fc.assert(
      fc.property(kubeconfigText, fc.array(entry, { minLength: 1, maxLength: 3 }), word, (text, entries, name) => {
        const distinct = [...new Map(entries.map((one) => [`${one.kind} ${one.name}`, one])).values()]
        const change = { entries: distinct, currentContext: name }
        const once = editKubeconfig(parseKubeconfig('file', text), change)
        assert.equal(editKubeconfig(once, change), once)
        assert.equal(editKubeconfig(parseKubeconfig('file', once.text), change).text, once.text)
      }),
      RUNS,
    )
  })

  test('the current context: its value and nothing else', () => {
    fc.assert(
      fc.property(kubeconfigText, word, (text, name) => {
        const before = parseKubeconfig('file', text)
        const after = editKubeconfig(before, { entries: [], currentContext: name })
        assert.equal(after.currentContext, name)
        const { removed } = spliceBetween(before.text, after.text)
        assert.doesNotMatch(removed, /\n[^\r\n]*\S/)
        assert.deepEqual({ ...after.value, 'current-context': 0 }, { ...before.value, 'current-context': 0 })
      }),
      RUNS,
    )
  })

  test('line endings stay what they are; JSON stays JSON', () => {
    fc.assert(
      fc.property(kubeconfigText, entry, (text, wanted) => {
        const after = editKubeconfig(parseKubeconfig('file', text), { entries: [wanted] }).text
        if (text.includes('\r\n')) assert.doesNotMatch(after, /(?<!\r)\n/)
        else assert.doesNotMatch(after, /\r/)
        if (text.startsWith('{')) JSON.parse(after)
      }),
      RUNS,
    )
  })
})
