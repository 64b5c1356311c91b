"""Caddy (CADDY_BIN, or caddy): weighted round robin; its log, its admin API and its own certificates are off."""

from .peer import Peer


class Caddy(Peer):
    name, version_option = "caddy", "version"
    program, variable = "caddy", "CADDY_BIN"

    def surroundings(self):
        folder = str(self.setup.folder)
        return {"GOMAXPROCS": str(self.setup.workers), "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}

    def config(self):
        s = self.setup
        tls = ""
        if s.cert:
            tls = f"https://:{s.https} {{\n    bind 127.0.0.1\n    tls {s.cert} {s.key}\n    import load\n}}"
        return f"""
{{
    admin off
    auto_https off
    persist_config off
    log {{
        output discard
    }}
    servers {{
        protocols h1 h2
    }}
}}
(load) {{
    reverse_proxy {s.blue} {s.green} {{
        lb_policy weighted_round_robin {s.weights[0]} {s.weights[1]}
        transport http {{
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 512
            compression off
        }}
    }}
}}
http://:{s.http} {{
    bind 127.0.0.1
    import load
}}
{tls}
"""

    def command(self):
        return [self.binary, "run", "--adapter", "caddyfile", "--config", self.write("Caddyfile", self.config())]
