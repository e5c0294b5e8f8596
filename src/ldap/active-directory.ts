/**
 * What is particular to Active Directory: why it refused a bind, and identifiers that are bytes.
 *
 * @module
 */

/** Sub-codes of a refused bind, `data 52e` in its message (AcceptSecurityContext; Win32 error codes in hexadecimal). */
const BIND_CAUSES: ReadonlyMap<string, string> = new Map([
  ['525', 'user not found'],
  ['52e', 'wrong password'],
  ['52f', 'account restriction'],
  ['530', 'not at this time'],
  ['531', 'not from this machine'],
  ['532', 'password expired'],
  ['533', 'account disabled'],
  ['568', 'too many group memberships'],
  ['701', 'account expired'],
  ['773', 'password must be changed first'],
  ['775', 'account locked'],
])

/** Why Active Directory refused, for the log; `undefined` where it does not say. */
export function bindCause(diagnostic: string): string | undefined {
  const code = /AcceptSecurityContext error, data ([0-9a-f]{1,8}),/.exec(diagnostic)?.[1]
  return code === undefined ? undefined : `${BIND_CAUSES.get(code) ?? 'unknown'} (data ${code})`
}

/** `objectGUID`: 16 bytes, the first three fields little-endian (MS-DTYP 2.3.4.2) → text. */
export function guidText(bytes: Buffer): string | undefined {
  if (bytes.length !== 16) return undefined
  const fields = [bytes.subarray(0, 4), bytes.subarray(4, 6), bytes.subarray(6, 8)].map((field) =>
    Buffer.from(field).reverse().toString('hex'),
  )
  return [...fields, bytes.toString('hex', 8, 10), bytes.toString('hex', 10, 16)].join('-')
}

/** `objectSid` (MS-DTYP 2.4.2.2) → `S-1-5-21-…`. */
export function sidText(bytes: Buffer): string | undefined {
  const [revision, count = 0] = bytes
  if (revision !== 1 || count > 15 || bytes.length !== 8 + 4 * count) return undefined
  const parts = Array.from({ length: count }, (_, index) => bytes.readUInt32LE(8 + 4 * index))
  return ['S', revision, bytes.readUIntBE(2, 6), ...parts].join('-')
}
