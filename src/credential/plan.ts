/**
 * What settings come to: the login that is meant, complete or with questions left. Holds no defaults and reads nothing.
 *
 * @module
 */
import type { LoginEndpoint, LoginMethod, LoginScope } from '../keystone/login/login-request.ts'
import type { OidcClientOptions } from '../oidc/oidc-client.ts'
import type { Secret } from '../secret.ts'

/** How tokens are got from an OpenID Connect issuer. */
export type OidcFlow =
  | { readonly flow: 'device' }
  | {
      readonly flow: 'code'
      readonly ports: readonly number[]
      /** Where an issuer insists on one; as it is registered there. */
      readonly redirectHost?: '127.0.0.1' | 'localhost'
      readonly redirectPath?: string
    }
  | { readonly flow: 'password'; readonly username: string; readonly password: Secret }
  | { readonly flow: 'access-token'; readonly accessToken: Secret }

/** A login that can be done now. */
export type LoginPlan =
  | {
      readonly provider: 'keystone'
      readonly endpoint: LoginEndpoint
      readonly methods: readonly LoginMethod[]
      readonly scope: LoginScope
    }
  | {
      readonly provider: 'keystone-federation'
      readonly endpoint: LoginEndpoint
      readonly identityProvider: string
      readonly protocol: string
      readonly oidc: OidcClientOptions | undefined
      readonly oidcFlow: OidcFlow
      readonly scope: LoginScope
    }
  | {
      readonly provider: 'oidc'
      readonly oidc: OidcClientOptions
      readonly oidcFlow: OidcFlow
      /** Which of the tokens goes to Kubernetes. */
      readonly present: 'id_token' | 'access_token'
    }

/**
 * The login that is meant, without anything secret: what a cached token is filed under, and what people read of it.
 * Two settings with equal subjects get one token. A proof that is itself the identity (a token) stands in it as a
 * digest, made by the cache's keyed digest.
 */
export type LoginSubject = Readonly<Record<string, string>>

/** Settings after flags, environment and clouds.yaml, before anybody is asked anything. */
export interface Settings {
  readonly subject: LoginSubject
  /** For stderr: `verify: false`, a secret on the command line. */
  readonly warnings: readonly string[]
  /** What is still to be asked, in order. Empty: {@link Settings.plan} asks nothing. */
  readonly questions: readonly Question[]
  /**
   * Asks what is missing and completes the login. Throws `credential_input_needed`, naming what is missing and where it
   * can be set, where `terminal` is undefined.
   */
  plan(terminal: Terminal | undefined): Promise<LoginPlan>
}

export interface Question {
  /** The whole prompt, e.g. `Please enter password: `. */
  readonly prompt: string
  readonly hidden: boolean
}

/** The person at the keyboard. Prompts go to stderr or the terminal device, never to stdout. */
export interface Terminal {
  /** One line, without its newline. Throws `credential_interrupted` on Ctrl-C, `credential_input_needed` on end of input. */
  ask(question: Question): Promise<string>
  /** Says something on stderr. */
  say(text: string): void
  close(): void
}
