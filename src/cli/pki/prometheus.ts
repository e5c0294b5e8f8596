/**
 * What a check found, as Prometheus text, for the textfile collector of node_exporter.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @module
 */
import { Gauge, Registry } from 'prom-client'
import type { CheckedItem } from '../../pki/check.ts'
import { SEVERITIES } from '../../pki/findings.ts'

export function prometheusText(items: readonly CheckedItem[], now: Date): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const notAfter = new Gauge({
    name: 'archway_pki_certificate_not_after_timestamp_seconds',
    help: 'When a certificate ends.',
    labelNames: ['name', 'subject'],
    registers,
  })
  const findings = new Gauge({
    name: 'archway_pki_findings',
    help: 'What is wrong with a certificate, by severity.',
    labelNames: ['name', 'severity'],
    registers,
  })
  const checked = new Gauge({
    name: 'archway_pki_check_timestamp_seconds',
    help: 'When this check was made.',
    registers,
  })
  checked.set(Math.floor(now.getTime() / 1000))
  for (const { name, certificate, findings: found } of items) {
    if (certificate !== undefined) {
      notAfter.set({ name, subject: certificate.subject.text }, certificate.notAfter.getTime() / 1000)
    }
    for (const severity of SEVERITIES) {
      findings.set({ name, severity }, found.filter((one) => one.severity === severity).length)
    }
  }
  return registry.metrics()
}
