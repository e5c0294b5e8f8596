/**
 * Whom to restart when, in the rotation of an authority: what reads its files anew by itself, and what does not.
 *
 * @see https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
 * @module
 */
import type { AuthorityName } from '../../pki/layout.ts'
import type { Step } from '../../pki/rotation.ts'

type StepAdvice = Readonly<Record<Exclude<Step, 'undo'>, readonly string[]>>

const COPIES =
  'every copy of the authority outside of this folder: certificate-authority-data of kubeconfigs (kubelets, controller-manager, scheduler, people), webhooks, clients'

export const ADVICE: Readonly<Record<AuthorityName, StepAdvice>> = {
  ca: {
    prepare: [
      'kube-apiserver: reads --client-ca-file anew by itself, within a minute',
      'kube-controller-manager: restart; --root-ca-file and --client-ca-file are ca.crt, but --cluster-signing-cert-file has to be ca.issuing.crt from now on: it takes no bundle',
      'kubelets: give them the new ca.crt (clientCAFile), restart them',
      `update ${COPIES}`,
      'pods: ConfigMap kube-root-ca.crt follows; restart those that read it only when they start',
    ],
    issue: [
      'kube-apiserver: reads its serving certificate anew by itself, within a minute; restart for --kubelet-client-certificate',
      'kube-controller-manager, scheduler: restart with their new certificates; the first signs with the new ca.key and ca.issuing.crt',
      'kubelets: new certificates (delete the old kubelet-client-current.pem, or issue), restart one after the other',
      'people: issue their certificates anew; those of the old authority are good until the last step',
    ],
    finish: [
      'kube-apiserver: reads --client-ca-file anew by itself, within a minute; from then on certificates of the old authority are worth nothing',
      'kube-controller-manager: restart, with --cluster-signing-cert-file=ca.crt again',
      'kubelets: the new ca.crt, restart',
      `take the old authority out of ${COPIES}`,
    ],
  },
  'front-proxy-ca': {
    prepare: [
      'kube-apiserver: reads --requestheader-client-ca-file anew by itself, within a minute; it tells aggregated API servers by the ConfigMap extension-apiserver-authentication',
    ],
    issue: [
      'kube-apiserver: restart for --proxy-client-cert-file where its version does not read it anew',
      'front proxies, archway proxy too: give them the new front-proxy-client',
    ],
    finish: ['kube-apiserver: reads it anew by itself; from then on the old front-proxy-client is worth nothing'],
  },
  'etcd/ca': {
    prepare: [
      'etcd: restart the members one after the other (--trusted-ca-file, --peer-trusted-ca-file)',
      'kube-apiserver: restart one after the other (--etcd-cafile)',
    ],
    issue: [
      'etcd: reads server and peer certificates anew with each connection',
      'kube-apiserver: restart one after the other (--etcd-certfile), and whatever else is a client of etcd',
    ],
    finish: ['etcd: restart the members one after the other', 'kube-apiserver: restart one after the other'],
  },
  'webhook-ca': {
    prepare: [
      'kube-apiserver: put the new webhook-ca.crt into the kubeconfigs of its webhooks, and restart one after the other',
      'webhook configurations in the cluster: their caBundle',
    ],
    issue: ['archway serve: reads its certificate anew by itself; others may have to be restarted'],
    finish: [
      'kube-apiserver: the new webhook-ca.crt alone, restart one after the other',
      'webhook configurations: their caBundle',
    ],
  },
}
