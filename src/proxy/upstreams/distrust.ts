/**
 * The sentence for an API server that refuses our identity headers; said by health checks and by the self-check.
 *
 * @module
 */

/** Of a 401 to a request in the name of somebody else: the certificate is not a front proxy's to this server. */
export function distrust(commonName: string): string {
  return (
    'the API server does not trust this front-proxy certificate: --requestheader-client-ca-file must hold its CA, ' +
    `--requestheader-allowed-names its common name (CN=${commonName}), and it must not have expired`
  )
}
