#!/usr/bin/python3
"""Asks openstackclient what it would log in with, for every case of openstackclient-cases.json, and writes that beside it.

usage: ask-openstackclient.py    (needs Debian's python3-openstackclient, which the Keystone rig brings; no server);
afterwards: npm run format

The client runs as it is, up to the point where an auth plugin is made; what it would be made with is the answer.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / 'openstackclient-cases.json'
ANSWERS = HERE / 'openstackclient-answers.json'


def watch():
    """Runs in the child: `openstack token issue`, with the plugins replaced by one that tells its options."""
    import keystoneauth1.loading._plugins.identity.generic as generic
    import keystoneauth1.loading._plugins.identity.v3 as v3
    from openstack.config import cloud_region
    from openstackclient import shell

    tls = {}
    original = cloud_region.CloudRegion.get_requests_verify_args

    def verify_args(self):
        verify, cert = original(self)
        tls.update(verify=verify, cert=cert)
        return verify, cert

    def tell(self, **options):
        auth = {key: value for key, value in options.items() if value is not None}
        print('ANSWER ' + json.dumps({'plugin': type(self).__name__, 'auth': auth, **tls}), flush=True)
        os._exit(0)

    cloud_region.CloudRegion.get_requests_verify_args = verify_args
    for module in (generic, v3):
        for loader in vars(module).values():
            if isinstance(loader, type) and hasattr(loader, 'load_from_options'):
                loader.load_from_options = tell
    sys.exit(shell.main(['token', 'issue']))


def ask(case):
    with tempfile.TemporaryDirectory() as root:
        here = pathlib.Path(root, 'here')
        here.mkdir()
        for name, text in case.get('files', {}).items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        env = {'PATH': '/usr/bin:/bin', 'HOME': f'{root}/home', 'OS_IDENTITY_API_VERSION': '3'}
        env.update({key: value.replace('$ROOT', root) for key, value in case['env'].items()})
        done = subprocess.run(
            [sys.executable, __file__, '--watch'], env=env, cwd=here, capture_output=True, text=True, timeout=120
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith('ANSWER ')]
        if not lines:
            sys.exit(f"{case['name']}: no answer\n{done.stdout}{done.stderr}")
        return json.loads(lines[0][len('ANSWER '):].replace(root, '$ROOT'))


if sys.argv[1:] == ['--watch']:
    watch()
else:
    answers = {case['name']: ask(case) for case in json.loads(CASES.read_text())}
    ANSWERS.write_text(json.dumps(answers, indent=2, sort_keys=True) + '\n')
