"""Traefik (TRAEFIK_BIN, or traefik): a weighted service from a file, which is not watched."""

import json

from .peer import Peer


class Traefik(Peer):
    name, version_option, version_line = "traefik", "version", "Version"
    program, variable = "traefik", "TRAEFIK_BIN"

    def surroundings(self):
        return {"GOMAXPROCS": str(self.setup.workers)}

    def dynamic(self):
        s = self.setup

        def service(address):
            return {"loadBalancer": {"servers": [{"url": f"http://{address}"}], "serversTransport": "kept"}}

        def router(entry, **more):
            return {"rule": "PathPrefix(`/`)", "service": "load", "entryPoints": [entry], **more}

        weighted = [{"name": "blue", "weight": s.weights[0]}, {"name": "green", "weight": s.weights[1]}]
        found = {"http": {
            "routers": {"http": router("http")},
            "services": {"load": {"weighted": {"services": weighted}}, "blue": service(s.blue), "green": service(s.green)},
            "serversTransports": {"kept": {"maxIdleConnsPerHost": 512}}}}
        if s.cert:
            found["http"]["routers"]["https"] = router("https", tls={})
            found["tls"] = {"stores": {"default": {"defaultCertificate": {"certFile": str(s.cert), "keyFile": str(s.key)}}}}
        return found

    def command(self):
        s = self.setup
        # Its body timeout of 60 s would end what the load test keeps idle.
        timeouts = {"respondingTimeouts": {"readTimeout": "0s", "idleTimeout": "300s"}}
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False}, "log": {"level": "ERROR"},
            "entryPoints": {"http": {"address": f"127.0.0.1:{s.http}", "transport": timeouts},
                            "https": {"address": f"127.0.0.1:{s.https}", "transport": timeouts}},
            "providers": {"file": {"filename": str(self.write("dynamic.yml", json.dumps(self.dynamic()))), "watch": False}}}
        return [self.binary, f"--configFile={self.write('traefik.yml', json.dumps(static))}"]
