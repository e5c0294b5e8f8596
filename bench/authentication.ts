/**
 * What a warm TokenReview costs, beside a bare `node:https` server that echoes the same bytes and, where Go is at
 * hand, beside a handler that does what k8s-keystone-auth does for each request.
 *
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type FakeKeystone, startFakeKeystone } from '../test/support/fake-keystone.ts'
import { contest, here, request } from './contest.ts'
import type { Question } from './load.ts'

const TOKENS = 64

export async function measureAuthentication(): Promise<void> {
  const keystone = await startFakeKeystone()
  try {
    await contest(async ({ folder, files, enter, enterArchway, enterEcho, run }) => {
      const questions = reviewsOf(keystone)
      console.log(`\nTokenReview: ${TOKENS} tokens, request ${questions[0]?.bytes.length} bytes`)
      // Remembered from the first review on.
      const config = { authenticators: [{ keystone: { url: keystone.url } }], cache: { ttl: '10m' } }
      await enterArchway('archway', config, questions)
      await enterEcho(questions)
      const peer = goPeer(folder)
      if (peer !== undefined) await enter('Go maps, indented', [peer, files.cert, files.key], questions)
      await run()
    })
  } finally {
    await keystone.close()
  }
}

function goPeer(folder: string): string | undefined {
  const peer = join(folder, 'peer')
  if (spawnSync('go', ['build', '-o', peer, here('go/main.go')], { encoding: 'utf8' }).status !== 0) {
    console.log('no Go toolchain: the predecessor-style handler is left out')
    return undefined
  }
  console.log(execFileSync('go', ['version'], { encoding: 'utf8' }).trim())
  return peer
}

function reviewsOf(keystone: FakeKeystone): readonly Question[] {
  return Array.from({ length: TOKENS }, (_, i) => {
    const token = keystone.issue({
      user: `user-${i}`,
      project: 'demo',
      roles: ['member', 'reader'],
      groups: ['k8s-devs', 'k8s-ops'],
    })
    const body = JSON.stringify({
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { creationTimestamp: null },
      spec: { token: token.padEnd(183, 'x'), audiences: ['https://kubernetes.default.svc'] },
      status: { user: {} },
    })
    return { bytes: request('/webhook?timeout=30s', body), answer: /"authenticated": ?true|"spec": ?\{"token"/ }
  })
}
