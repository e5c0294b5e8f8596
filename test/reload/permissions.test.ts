import assert from 'node:assert/strict'
import { test } from 'node:test'
import { permissionWarning } from '../../src/reload/permissions.ts'

for (const mode of [0o400, 0o600, 0o440, 0o640, 0o100600, 0o100640]) {
  test(`T-S14 mode ${mode.toString(8)} is fit for secrets`, () => {
    assert.equal(permissionWarning('/etc/tokens.csv', mode), undefined)
  })
}

const warned: readonly [number, RegExp][] = [
  [0o644, /^\/etc\/tokens\.csv: mode 0644 lets every user of this machine at a file/],
  [0o100604, /mode 0604 lets every user of this machine at/],
  [0o602, /mode 0602 lets every user of this machine at/],
  [0o601, /mode 0601 lets every user of this machine at/],
  [0o660, /mode 0660 lets its group, with the right to write, at/],
  [0o666, /mode 0666 lets every user of this machine and its group, with the right to write, at/],
]
for (const [mode, expected] of warned) {
  test(`T-S14 mode ${mode.toString(8)} is warned of, with the remedy`, () => {
    const warning = permissionWarning('/etc/tokens.csv', mode) ?? ''
    assert.match(warning, expected)
    assert.match(warning, /Set 0600, .*defaultMode: 0440/)
  })
}
