import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindCause, guidText, sidText } from '../../src/ldap/active-directory.ts'
import { entryOf, identifierText } from '../../src/ldap/entry.ts'

test('why a bind was refused', () => {
  const said = (data: string) =>
    `80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data ${data}, v2580\0`
  const rows = [
    ['525', 'user not found (data 525)'],
    ['52e', 'wrong password (data 52e)'],
    ['533', 'account disabled (data 533)'],
    ['701', 'account expired (data 701)'],
    ['773', 'password must be changed first (data 773)'],
    ['775', 'account locked (data 775)'],
    ['9999', 'unknown (data 9999)'],
  ] as const
  for (const [data, cause] of rows) assert.equal(bindCause(said(data)), cause)
  for (const other of ['', 'invalid credentials', 'data 533', said('52e; rm'), said('0123456789')]) {
    assert.equal(bindCause(other), undefined)
  }
})

test('objectGUID and objectSid are written as Windows writes them, other bytes in hexadecimal', () => {
  const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
  assert.equal(guidText(guid), '00112233-4455-6677-8899-aabbccddeeff')
  assert.equal(guidText(guid.subarray(1)), undefined)
  const sid = Buffer.from('010500000000000515000000a065cf7e784b9b5fe77c8770091c0100', 'hex')
  assert.equal(sidText(sid), 'S-1-5-21-2127521184-1604012920-1887927527-72713')
  assert.equal(sidText(Buffer.from('0101000000000005', 'hex')), undefined)
  assert.equal(sidText(Buffer.alloc(0)), undefined)
  assert.equal(identifierText('OBJECTGUID', guid), '00112233-4455-6677-8899-aabbccddeeff')
  assert.equal(identifierText('objectSid', sid), 'S-1-5-21-2127521184-1604012920-1887927527-72713')
  assert.equal(identifierText('entryUUID', Buffer.from('김')), '김')
  assert.equal(identifierText('photo', Buffer.from([0xff, 0])), 'hex:ff00')
  assert.equal(identifierText('photo', Buffer.from('a\0b')), 'hex:610062')
})

test('attributes are found whatever their case, and a part of the values is known as one', () => {
  const value = Buffer.from('x')
  const entry = entryOf({
    dn: 'dc=x',
    attributes: [
      { description: 'memberOf;range=0-1499', values: [value] },
      { description: 'memberOf', values: [] },
      { description: 'CN', values: [value] },
      { description: '__proto__', values: [value] },
    ],
  })
  assert.deepEqual(entry.values('cn'), [value])
  assert.deepEqual(entry.values('constructor'), [])
  assert.ok(entry.isPartial('memberof') && !entry.isPartial('cn'))
})
