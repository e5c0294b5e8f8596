/**
 * The address of an API server, as people give it and as it is written.
 *
 * @module
 */
import { isIP } from 'node:net'
import { ArchwayError } from '../../errors.ts'

/** An address that was read. */
export interface ServerAddress {
  /** As it goes into the kubeconfig: `https://10.0.0.1:6443`, `https://rancher.example/k8s/clusters/c-1`. */
  readonly url: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Name an entry gets where no other is given: the host, with the port unless that says nothing. */
  readonly label: string
}

/**
 * Reads `https://host:6443`, `host:6443`, `[::1]:6443/path/`.
 *
 * @throws ArchwayError `credential_settings_invalid`; the message never repeats the text, which may hold a password
 */
export function parseServerAddress(text: string): ServerAddress {
  if (/[\s\\]/.test(text)) throw invalid('it has blanks or backslashes in it')
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`
  const url = URL.parse(whole)
  if (url === null || !/^[a-z]+:\/\/[^/]/i.test(whole)) throw invalid('it is not an address')
  if (url.protocol !== 'https:') throw invalid('its scheme is not https, and credentials travel over nothing else')
  if (/^https:\/\/[^/?#]*@/i.test(whole)) throw invalid('it has a user name in it')
  if (/[?#]/.test(whole)) throw invalid('it has a query or a fragment')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 443 : Number(url.port)
  const silent = port === 443 || port === 6443
  return {
    url: `${url.origin}${url.pathname.replace(/\/+$/, '')}`,
    host,
    port,
    label: silent ? host : `${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
  }
}

function invalid(fault: string): ArchwayError {
  return new ArchwayError(
    'credential_settings_invalid',
    `--server: ${fault}; write it like https://10.0.0.1:6443, as in "kubectl cluster-info"`,
  )
}
