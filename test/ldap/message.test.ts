import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { BerError } from '../../src/ldap/ber.ts'
import { framing, type IncomingMessage, readMessage } from '../../src/ldap/message.ts'
import {
  bindAnswer,
  doneAnswer,
  entryAnswer,
  extendedAnswer,
  integer,
  message,
  octets,
  referenceAnswer,
  result,
  tlv,
} from '../support/fake-ldap.ts'

const ENTRY = entryAnswer(3, 'uid=김,dc=x', { uid: ['김'], photo: [Buffer.from([255, 0]), 'b'], none: [] })

/** What was read; `undefined` where it was refused as malformed. */
function read(bytes: Buffer): IncomingMessage | undefined {
  try {
    return readMessage(bytes)
  } catch (error) {
    assert.ok(error instanceof BerError, String(error))
    return undefined
  }
}

describe('messages of a server', () => {
  test('are read by their kind', () => {
    assert.deepEqual(readMessage(bindAnswer(1, 49, 'no')), {
      id: 1,
      answer: { kind: 'bind', result: { code: 49, diagnostic: 'no' } },
    })
    assert.deepEqual(readMessage(ENTRY), {
      id: 3,
      answer: {
        kind: 'entry',
        entry: {
          dn: 'uid=김,dc=x',
          attributes: [
            { description: 'uid', values: [Buffer.from('김')] },
            { description: 'photo', values: [Buffer.from([255, 0]), Buffer.from('b')] },
            { description: 'none', values: [] },
          ],
        },
      },
    })
    const done = { kind: 'done', result: { code: 4, diagnostic: '' } }
    assert.deepEqual(readMessage(doneAnswer(9, 4)).answer, { ...done, cookie: Buffer.alloc(0) })
    assert.deepEqual(readMessage(doneAnswer(9, 4, 'next')).answer, { ...done, cookie: Buffer.from('next') })
    assert.deepEqual(readMessage(referenceAnswer(2, 'ldap://other')).answer, { kind: 'reference' })
    assert.deepEqual(readMessage(extendedAnswer(0, 52, '1.2.3')), {
      id: 0,
      answer: { kind: 'extended', result: { code: 52, diagnostic: '' }, name: '1.2.3' },
    })
    const referral = message(4, tlv(0x65, result(10), tlv(0xa3, octets('ldap://other'))))
    assert.equal((readMessage(referral).answer as { result: { code: number } }).result.code, 10)
  })

  test('T-W15 without a result code, cut short or padded they are no success', () => {
    const whole = bindAnswer(2, 0)
    const broken = [
      message(2, tlv(0x61)),
      message(2, tlv(0x61, integer(0, 0x0a))),
      message(2, tlv(0x61, integer(0, 0x0a), octets(''))),
      message(2, tlv(0x61, tlv(0x0a), octets(''), octets(''))),
      message(2, tlv(0x61, integer(-1, 0x0a), octets(''), octets(''))),
      message(2, tlv(0x61, tlv(0x0a, Buffer.alloc(5)), octets(''), octets(''))),
      message(2),
      tlv(0x30),
      tlv(0x30, tlv(0x61, result(0))),
      message(-2, tlv(0x61, result(0))),
      message(2, tlv(0x7f, result(0))),
      message(2, tlv(0x60, result(0))),
      Buffer.concat([whole, whole]),
      Buffer.from([0x30, 0x80, 0, 0]),
      Buffer.from([0x30, 0x85, 0, 0, 0, 0, 0]),
      Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
      message(3, tlv(0x64, octets(Buffer.from([0xff])), tlv(0x30))),
      message(3, tlv(0x64, octets('dc=x'))),
      message(3, tlv(0x64, octets('dc=x'), tlv(0x30, tlv(0x30, octets('uid'))))),
      ...Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length)).slice(1),
    ]
    for (const bytes of broken) assert.equal(read(bytes), undefined, bytes.toString('hex'))
  })

  test('T-W15 any bytes are a message or a BerError', () => {
    const anything = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes))
    const nearly = fc
      .tuple(fc.constantFrom(ENTRY, bindAnswer(1), doneAnswer(1, 0, 'c')), fc.nat(), fc.nat(255))
      .map(([bytes, at, value]) => {
        const changed = Buffer.from(bytes)
        changed[at % changed.length] = value
        return changed
      })
    fc.assert(
      fc.property(fc.oneof(anything, nearly), (bytes) => {
        read(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('framing', () => {
  test('gives the same messages however the stream is cut', () => {
    const messages = [bindAnswer(1), ENTRY, doneAnswer(3), entryAnswer(4, 'dc=x', { a: ['b'.repeat(400)] })]
    const stream = Buffer.concat(messages)
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 20 }), (cuts) => {
        const frames = framing(1000)
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length]
        const found = at.slice(1).flatMap((end, index) => frames.push(stream.subarray(at[index], end)))
        assert.deepEqual(found, messages)
        assert.equal(frames.pending, 0)
      }),
    )
  })

  test('T-W15 refuses what is not LDAP at its first byte, and what is too long at its length', () => {
    assert.throws(() => framing(100).push(Buffer.from('HTTP/1.1 400')), BerError)
    assert.throws(() => framing(100).push(Buffer.from([0x30, 0x82, 0x01, 0x00])), BerError)
    assert.throws(() => framing(100).push(Buffer.from([0x30, 0x80])), BerError)
    assert.deepEqual(framing(100).push(Buffer.from([0x30, 0x81])), [])
  })

  test('thousands of messages in one piece are read one after the other', () => {
    const one = bindAnswer(1)
    const found = framing(100).push(Buffer.concat(Array.from({ length: 50_000 }, () => one)))
    assert.equal(found.length, 50_000)
  })
})
