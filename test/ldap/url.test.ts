import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLdapUrl } from '../../src/ldap/url.ts'

test('addresses, their usual ports, and how each is protected', () => {
  const rows = [
    ['ldaps://ldap.example', {}, 'ldap.example', 636, 'ldaps'],
    ['ldaps://ldap.example:3269/', {}, 'ldap.example', 3269, 'ldaps'],
    ['ldap://ldap.example', { startTls: true }, 'ldap.example', 389, 'startTls'],
    ['ldaps://ldap.example', { startTls: true }, 'ldap.example', 636, 'ldaps'],
    ['ldap://[::1]:3890', { allowPlain: true }, '::1', 3890, 'none'],
    ['ldaps://ldap.example', { allowPlain: true }, 'ldap.example', 636, 'ldaps'],
  ] as const
  for (const [url, rules, host, port, protection] of rows) {
    assert.deepEqual(parseLdapUrl(url, rules), { url, host, port, protection })
  }
})

test('T-S6 without TLS only where it is said, and nothing but an address', () => {
  const rows: readonly (readonly [string, object, RegExp])[] = [
    ['ldap://ldap.example', {}, /unprotected: write ldaps:, or set `startTls: true`/],
    ['ldap://127.0.0.1', {}, /unprotected/],
    ['ldap://x', { startTls: true, allowPlain: true }, /exclude each other/],
    ['https://ldap.example', {}, /expected ldaps:/],
    ['ldapi:///run/slapd', {}, /expected ldaps:/],
    ['ldap.example', {}, /expected ldaps:/],
    ['ldaps://', {}, /expected ldaps:/],
    ['ldaps://x/dc=example', {}, /nothing may follow/],
    ['ldaps://x?sub', {}, /nothing may follow/],
    ['ldaps://x#y', {}, /nothing may follow/],
    ['ldaps://admin:secret@x', {}, /no user or password/],
    ['ldaps://x%00y', {}, /the host has characters no host name has/],
  ]
  for (const [url, rules, message] of rows) {
    assert.throws(
      () => parseLdapUrl(url, rules),
      (error: Error) => {
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /secret/)
        return true
      },
      url,
    )
  }
})
